//! Connections: what several actions share.

use std::time::Duration;

use crate::policy::raw::decode::Text;
use crate::policy::raw::names::Entries;
use crate::policy::raw::per_environment::PerEnvironment;
use crate::policy::raw::rate::RateLimit;
use crate::policy::raw::secret::Value;
use crate::problem::Located;

section! {
    /// Base URL, auth, headers and limits shared by actions.
    Connection, "a connection" {
        base_url: PerEnvironment<Text>, Required, "the URL before the paths of its actions";
        auth: PerEnvironment<Text>, Optional, "the name of an auth connector, or `none`";
        headers: Entries<PerEnvironment<Value>>, Optional, "headers of every request";
        timeout: PerEnvironment<Located<Duration>>, Optional, "how long a whole call may take";
        connect_timeout: PerEnvironment<Located<Duration>>, Optional,
            "how long connecting may take";
        idle_timeout: PerEnvironment<Located<Duration>>, Optional,
            "how long a stream may be silent";
        rate_limit: PerEnvironment<RateLimit>, Optional, "how often its actions may be called";
    }
}
