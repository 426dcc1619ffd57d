//! The hash of the maps in which requests are looked up.
//!
//! The standard one is slow, since it is made for keys that an attacker chooses: keys that collide make a map a list.
//! Here every key comes from the policy; what a request names is looked up and never put in. So what a look-up costs is
//! settled at load, by whoever writes the policy.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

/// A map whose keys come from the policy.
pub(super) type PolicyMap<K, V> = HashMap<K, V, RandomState>;

/// A set of names that come from the policy.
pub type PolicySet<K> = HashSet<K, RandomState>;
