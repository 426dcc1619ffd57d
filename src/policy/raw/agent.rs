//! Agents: who may ask.

use crate::policy::raw::decode::List;
use crate::policy::raw::decode::Text;
use crate::policy::raw::rate::RateLimit;
use crate::policy::raw::secret::SecretName;

section! {
    /// One agent, or one kind of agent.
    Agent, "an agent", holds_credentials {
        title: Text, Optional, "its name for people";
        token: SecretName, Required, "what it shows at the door, as `{secret: NAME}`";
        runtime_token: SecretName, Optional, "who presents it at a tool door may set the context";
        environment: Text, Optional, "the environment it works in";
        allow: List<Text>, Required, "the names of its actions, or patterns such as `get_*`";
        rate_limit: RateLimit, Optional, "how often it may call anything";
    }
}
