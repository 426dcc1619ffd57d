//! The body of a proxied request: taken apart into parameters, or passed on.

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde_json::Map;

use crate::action::headers::{expect_type, read_type, type_refused};
use crate::action::plan::pointer;
use crate::action::recognise::{Content, Found, Seen};
use crate::action::{ContentRule, MediaType, QueryStyle, WireBody};
use crate::body::Body;
use crate::json;
use crate::json::Tree;
use crate::refusal::{Code, Refusal};
use crate::request::Query;
use crate::template::{BodyTemplate, Mismatch};

impl Found<'_> {
    pub(super) fn read_content(
        &mut self,
        headers: &HeaderMap,
        content: Content,
    ) -> Result<Option<WireBody>, Refusal> {
        match (self.action.proxied_content(), content) {
            (ContentRule::Unread(types), content) => pass_unread(types, headers, content).map(Some),
            (_, Content::Unread(_)) => Err(Refusal::new(
                Code::Internal,
                "the body of this action must be read",
            )),
            (ContentRule::Query, Content::Read(bytes)) if bytes.is_empty() => Ok(None),
            (ContentRule::Query, Content::Read(_)) => Err(Refusal::new(
                Code::BodyUnexpected,
                "this action has no request body; send its parameters in the query",
            )),
            (ContentRule::Object(types), Content::Read(bytes)) => {
                self.read_object(types, headers, &bytes).map(|()| None)
            }
            (ContentRule::Template(types, template), Content::Read(bytes)) => self
                .read_template(types, template, headers, &bytes)
                .map(|()| None),
            (ContentRule::Wire(types, schema), Content::Read(bytes)) => {
                expect_type(types, headers)?;
                let mut value = json::parse(&bytes)?;
                schema.check(&value).map_err(|violation| {
                    match schema.conceals(&violation.pointer) {
                        true => violation.without_values(),
                        false => violation,
                    }
                })?;
                schema.order(&mut value);
                let mut body = Vec::with_capacity(bytes.len());
                json::write(&value, &mut body);
                Ok(Some(WireBody {
                    content_type: types.first().map(MediaType::header),
                    body: body.into(),
                }))
            }
        }
    }

    fn read_object(
        &mut self,
        types: &[MediaType],
        headers: &HeaderMap,
        bytes: &Bytes,
    ) -> Result<(), Refusal> {
        if bytes.is_empty() {
            return Ok(());
        }
        match expect_type(types, headers)? {
            MediaType::Form => {
                let form = Query::parse_form(bytes)?;
                let mut seen = Seen::default();
                for pair in form.pairs() {
                    if self.is_replaced(&pair.name)? {
                        continue;
                    }
                    self.refuse_placed(&pair.name)?;
                    let again = seen.again(&pair.name)?;
                    self.read_field((&pair.name, &pair.value), again, QueryStyle::Repeat)?;
                }
                Ok(())
            }
            _ => {
                let Tree::Object(members) = json::read(bytes)? else {
                    return Err(Refusal::new(
                        Code::BodyUnexpected,
                        "the body must be a JSON object with the parameters as members",
                    ));
                };
                for json::Member { name, value } in members {
                    if self.is_replaced(&name)? {
                        continue;
                    }
                    self.refuse_placed(&name)?;
                    let value = value.to_value();
                    self.parameters.insert(name.into_owned(), value);
                }
                Ok(())
            }
        }
    }

    /// A missing body leaves every parameter of the template out.
    fn read_template(
        &mut self,
        types: &[MediaType],
        template: &BodyTemplate,
        headers: &HeaderMap,
        bytes: &Bytes,
    ) -> Result<(), Refusal> {
        if bytes.is_empty() {
            return Ok(());
        }
        expect_type(types, headers)?;
        let mut body = json::read(bytes)?;
        if let Tree::Object(members) = &mut body {
            self.take_credentials(members)?;
        }
        let inverted = self
            .facts
            .with_values(&Map::new(), |values| template.invert(&body, values));
        let inverted = inverted.map_err(|mismatch| self.unspelled(mismatch))?;
        for (names, value) in inverted {
            self.insert_at(names, value)?;
        }
        Ok(())
    }

    /// Without the right spelling of a value that is concealed.
    fn unspelled(&self, mismatch: Mismatch) -> Mismatch {
        let names = mismatch.spells.iter().flatten();
        let at: String = names.map(|it| pointer(it)).collect();
        if mismatch.spells.is_none() {
            return mismatch;
        }
        Mismatch {
            expected: self.action.wording(&at, &mismatch.expected).to_owned(),
            ..mismatch
        }
    }

    /// Takes out what the agent sent in the place of a credential.
    fn take_credentials(&mut self, members: &mut Vec<json::Member<'_>>) -> Result<(), Refusal> {
        let mut refused = None;
        members.retain(|it| match self.is_replaced(&it.name) {
            Ok(is_replaced) => !is_replaced,
            Err(refusal) => {
                refused.get_or_insert(refusal);
                true
            }
        });
        refused.map_or(Ok(()), Err)
    }

    /// A parameter of the path, the query or a header has no second place in the body.
    fn refuse_placed(&self, name: &str) -> Result<(), Refusal> {
        if self.action.places(name) {
            return Err(self.undeclared(name));
        }
        Ok(())
    }
}

fn pass_unread(
    types: &[MediaType],
    headers: &HeaderMap,
    content: Content,
) -> Result<WireBody, Refusal> {
    let body = match content {
        Content::Unread(body) => body,
        Content::Read(bytes) if bytes.is_empty() => Body::Empty,
        Content::Read(bytes) => Body::Bytes(bytes),
    };
    let content_type = headers.get(CONTENT_TYPE).cloned();
    if !types.is_empty() && !body.is_empty() {
        let kind = read_type(headers)?;
        if !types.contains(&kind) {
            return Err(type_refused(types));
        }
    }
    Ok(WireBody { content_type, body })
}
