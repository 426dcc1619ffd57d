//! The pages of the tools listener, each with the methods it takes.

use http::{Method, Uri};

use crate::action::pointer;
use crate::refusal::{Code, Refusal};
use crate::request::{Pair, Query};
use crate::toolbox::Format;

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// `/v1/actions`: those that the agent may use.
    Actions,
    /// `/v1/actions/NAME`: shown, or called.
    Action(String),
    /// `/v1/tools?format=FORMAT`: those that the agent may use, as models are told of tools.
    Tools(Format),
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
    /// [`Code::PageUnknown`], [`Code::MethodRefused`] with the methods that the page takes, or what is wrong with the
    /// query.
    pub(super) fn read(method: &Method, uri: &Uri) -> Result<Self, Refusal> {
        let segments: Vec<&str> = uri.path().split('/').skip(1).collect();
        let (route, methods) = match segments.as_slice() {
            ["v1", "actions"] => (Self::Actions, &["GET"][..]),
            ["v1", "actions", name] => (Self::Action((*name).to_owned()), &["GET", "POST"][..]),
            ["v1", "tools"] => (Self::Tools(Format::Mcp), &["GET"][..]),
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
        let query = Query::parse(uri.query().unwrap_or_default())?;
        match (route, query.pairs()) {
            (Self::Tools(_), pairs) => read_format(pairs).map(Self::Tools),
            (route, []) => Ok(route),
            (_, [pair, ..]) => {
                let message = "this page takes no query; parameters go into the body";
                let refusal = Refusal::new(Code::ParameterUndeclared, message);
                Err(refusal.at(pointer(&pair.name)))
            }
        }
    }
}

fn read_format(pairs: &[Pair]) -> Result<Format, Refusal> {
    let formats = || Format::ALL.map(Format::as_str);
    let (code, message) = match pairs {
        [pair] if pair.name == "format" => match pair.value.parse() {
            Ok(format) => return Ok(format),
            Err(unknown) => (Code::ParameterInvalid, format!("{unknown}")),
        },
        [] => (Code::ParameterMissing, "say in which format".to_owned()),
        _ => {
            let message = "this page takes a format, once, and nothing else".to_owned();
            (Code::ParameterUndeclared, message)
        }
    };
    Err(Refusal::new(code, message)
        .at("/format")
        .allowing(formats()))
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
            (
                "GET",
                "/v1/tools?format=openai",
                Ok(Route::Tools(Format::OpenAi)),
            ),
            ("GET", "/v1/tools", Err(Code::ParameterMissing)),
            ("GET", "/v1/tools?format=none", Err(Code::ParameterInvalid)),
            (
                "GET",
                "/v1/tools?format=mcp&format=mcp",
                Err(Code::ParameterUndeclared),
            ),
            ("GET", "/v1/tools?form=mcp", Err(Code::ParameterUndeclared)),
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
