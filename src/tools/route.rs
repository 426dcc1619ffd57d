//! The pages of the tools listener, each with the methods it takes.

use http::{Method, Uri};

use crate::refusal::{Code, Refusal};

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// `/v1/actions`: those that the agent may use.
    Actions,
    /// `/v1/actions/NAME`: shown, or called.
    Action(String),
    /// `/v1/sessions`: where they are opened.
    Sessions,
    /// `/v1/sessions/ID`: shown, or ended.
    Session(String),
    /// `/v1/openapi.json`: what all of this is, for programs.
    OpenApi,
}

impl Route {
    /// Reads method and path. Names and ids have no characters that could be written in two ways.
    ///
    /// # Errors
    /// [`Code::PageUnknown`], [`Code::MethodRefused`] with the methods that the page takes, or
    /// [`Code::ParameterUndeclared`] for a query.
    pub(super) fn read(method: &Method, uri: &Uri) -> Result<Self, Refusal> {
        let segments: Vec<&str> = uri.path().split('/').skip(1).collect();
        let (route, methods) = match segments.as_slice() {
            ["v1", "actions"] => (Self::Actions, &["GET"][..]),
            ["v1", "actions", name] => (Self::Action((*name).to_owned()), &["GET", "POST"][..]),
            ["v1", "sessions"] => (Self::Sessions, &["POST"][..]),
            ["v1", "sessions", id] => (Self::Session((*id).to_owned()), &["GET", "DELETE"][..]),
            ["v1", "openapi.json"] => (Self::OpenApi, &["GET"][..]),
            _ => {
                let message = "there is no such page; /v1/openapi.json tells which there are";
                return Err(Refusal::new(Code::PageUnknown, message));
            }
        };
        if !methods.contains(&method.as_str()) {
            let message = format!("this page takes {}", methods.join(" and "));
            let refusal = Refusal::new(Code::MethodRefused, message);
            return Err(refusal.allowing(methods.iter().copied()));
        }
        if uri.query().is_some_and(|query| !query.is_empty()) {
            let message = "this page takes no query; parameters go into the body";
            return Err(Refusal::new(Code::ParameterUndeclared, message));
        }
        Ok(route)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_one_path_and_its_own_methods() {
        let item = || Route::Action("get_item".into());
        for (method, path, expected) in [
            ("GET", "/v1/actions", Ok(Route::Actions)),
            ("GET", "/v1/actions/get_item", Ok(item())),
            ("POST", "/v1/actions/get_item", Ok(item())),
            ("POST", "/v1/sessions", Ok(Route::Sessions)),
            ("DELETE", "/v1/sessions/x", Ok(Route::Session("x".into()))),
            ("GET", "/v1/openapi.json", Ok(Route::OpenApi)),
            ("POST", "/v1/actions", Err(Code::MethodRefused)),
            ("HEAD", "/v1/actions", Err(Code::MethodRefused)),
            ("PUT", "/v1/sessions/x", Err(Code::MethodRefused)),
            ("GET", "/v1/actions?all=1", Err(Code::ParameterUndeclared)),
            ("GET", "/v1/actions/", Ok(Route::Action(String::new()))),
            ("GET", "/v1/actions/a/b", Err(Code::PageUnknown)),
            ("GET", "/V1/actions", Err(Code::PageUnknown)),
            ("GET", "//v1/actions", Err(Code::PageUnknown)),
            ("GET", "/", Err(Code::PageUnknown)),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let read = Route::read(&method, &path.parse().unwrap());
            assert_eq!(read.map_err(|it| it.code), expected, "{method} {path}");
        }
    }
}
