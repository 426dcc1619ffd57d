//! What an action does to the world, for tools that show it and for sending a request again.

use http::Method;

/// Words about the effects of a call. The policy may know better than the method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hints {
    /// It changes nothing.
    pub read_only: bool,
    /// It may overwrite or remove something.
    pub destructive: bool,
    /// A second call like the first changes nothing more, so that it may be sent again.
    pub idempotent: bool,
}

impl Hints {
    /// What a method promises (RFC 9110 §9.2). What is not safe is taken for destructive, as the Model Context Protocol
    /// does where nothing is said: a POST may well overwrite.
    pub fn of(method: &Method) -> Self {
        Self {
            read_only: method.is_safe(),
            destructive: !method.is_safe(),
            idempotent: method.is_idempotent(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_promises_what_its_definition_says() {
        for (method, expected) in [
            (Method::GET, (true, false, true)),
            (Method::HEAD, (true, false, true)),
            (Method::PUT, (false, true, true)),
            (Method::DELETE, (false, true, true)),
            (Method::POST, (false, true, false)),
            (Method::PATCH, (false, true, false)),
        ] {
            let it = Hints::of(&method);
            let found = (it.read_only, it.destructive, it.idempotent);
            assert_eq!(found, expected, "{method}");
        }
    }
}
