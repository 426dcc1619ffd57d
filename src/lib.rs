//! exeat: the gate between AI agents and the internet.

pub mod name;
pub mod secret;
pub mod refusal;
pub mod fault;
pub mod body;
pub mod request;
pub mod address;
pub mod problem;
pub mod yaml;
pub mod json;
pub mod jsonpath;
pub mod wire;
pub mod schema;
pub mod template;
pub mod credential;
pub mod action;
pub mod policy;
pub mod metrics;
pub mod private;
pub mod vault;
pub mod agents;
pub mod sessions;
pub mod dial;
pub mod tokens;
pub mod authority;
pub mod audit;
