//! Auth connectors: how a credential is put into a request.

use crate::policy::raw::decode::Decode;
use crate::policy::raw::decode::Decoder;
use crate::policy::raw::decode::List;
use crate::policy::raw::decode::Text;
use crate::policy::raw::fields::Shape;
use crate::policy::raw::per_environment::PerEnvironment;
use crate::policy::raw::secret::Credential;
use crate::policy::raw::secret::Value;
use crate::problem::Located;
use crate::yaml::Node;

choice! {
    /// The types of connectors.
    Kind {
        Bearer = "bearer", "`Authorization: Bearer …`.";
        Basic = "basic", "`Authorization: Basic …`.";
        ApiKey = "api_key", "A header, query parameter, cookie or member of the body.";
        Oauth2 = "oauth2_client_credentials", "A token fetched from a token endpoint.";
        None = "none", "No credential; the agent's own is removed all the same.";
    }
}

choice! {
    /// The part of a request that carries an API key.
    Part {
        Header = "header", "A header.";
        Query = "query", "A query parameter.";
        Cookie = "cookie", "A cookie.";
        Body = "body", "A member of the body.";
    }
}

choice! {
    /// How the client shows who it is at a token endpoint.
    ClientAuth {
        Basic = "basic", "In the `Authorization` header.";
        Body = "body", "In the form.";
    }
}

section! {
    /// `Authorization: Bearer TOKEN`.
    Bearer, "a `bearer` connector", holds_credentials {
        token: PerEnvironment<Credential>, Required, "the token, as `{secret: NAME}`";
        placeholder: PerEnvironment<Text>, Optional, "what an agent may send in the token's place";
    }
    tag "type": Located<Kind> = Kind::Bearer, "the type of the connector";
}

section! {
    /// `Authorization: Basic base64(USERNAME:PASSWORD)`.
    Basic, "a `basic` connector", holds_credentials {
        username: PerEnvironment<Value>, Required, "the user name; it contains no `:`";
        password: PerEnvironment<Credential>, Required, "the password, as `{secret: NAME}`";
        placeholder: PerEnvironment<Text>, Optional, "what an agent may send in the password's place";
    }
    tag "type": Located<Kind> = Kind::Basic, "the type of the connector";
}

section! {
    /// A key in a header, query parameter, cookie or body.
    ApiKey, "an `api_key` connector", holds_credentials {
        part as "in": PerEnvironment<Located<Part>>, Required, "`header`, `query`, `cookie` or `body`";
        name: PerEnvironment<Text>, Required, "the name of the header, parameter, cookie or member";
        value: PerEnvironment<Credential>, Required, "the key, as `{secret: NAME}`";
        placeholder: PerEnvironment<Text>, Optional, "what an agent may send in the key's place";
    }
    tag "type": Located<Kind> = Kind::ApiKey, "the type of the connector";
}

section! {
    /// A token fetched from a token endpoint.
    Oauth2, "an `oauth2_client_credentials` connector", holds_credentials {
        token_url: PerEnvironment<Text>, Required, "the token endpoint, `https://…`";
        client_id: PerEnvironment<Value>, Required, "who asks for the token";
        client_secret: PerEnvironment<Credential>, Required, "the secret, as `{secret: NAME}`";
        scopes: List<Text>, Optional, "what the token is for";
        audience: PerEnvironment<Text>, Optional, "whom the token is for";
        client_auth: PerEnvironment<Located<ClientAuth>>, Optional, "`basic` or `body`";
        placeholder: PerEnvironment<Text>, Optional, "what an agent may send in the token's place";
    }
    tag "type": Located<Kind> = Kind::Oauth2, "the type of the connector";
}

section! {
    /// No credential.
    NoAuth, "a `none` connector", holds_credentials {
    }
    tag "type": Located<Kind> = Kind::None, "the type of the connector";
}

section! {
    /// What all connectors have.
    AnyConnector, "an auth connector", holds_credentials {
    }
    tag "type": Located<Kind>, "the type of the connector";
}

/// An auth connector, by its type.
#[derive(Clone, Debug)]
pub(in crate::policy) enum Connector {
    /// `Authorization: Bearer …`.
    Bearer(Bearer),
    /// `Authorization: Basic …`.
    Basic(Basic),
    /// A header, query parameter, cookie or member of the body.
    ApiKey(ApiKey),
    /// A token fetched from a token endpoint.
    Oauth2(Box<Oauth2>),
    /// No credential.
    None(NoAuth),
}

impl Decode for Connector {
    const SHAPE: Shape = Shape::Either(&[
        Shape::Section(&Bearer::SECTION),
        Shape::Section(&Basic::SECTION),
        Shape::Section(&ApiKey::SECTION),
        Shape::Section(&Oauth2::SECTION),
        Shape::Section(&NoAuth::SECTION),
    ]);

    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        let Some(mapping) = node.mapping() else {
            decoder.hide_values(node);
            decoder.mismatch(node, AnyConnector::SHAPE);
            return None;
        };
        let Some(kind) = mapping.get("type") else {
            decoder.hide_values(node);
            decoder.lacks(&node.place, &AnyConnector::SECTION);
            return None;
        };
        let Some(kind) = Located::<Kind>::decode(kind, decoder) else {
            decoder.hide_values(node);
            return None;
        };
        match kind.value {
            Kind::Bearer => Bearer::decode(node, decoder).map(Self::Bearer),
            Kind::Basic => Basic::decode(node, decoder).map(Self::Basic),
            Kind::ApiKey => ApiKey::decode(node, decoder).map(Self::ApiKey),
            Kind::Oauth2 => Oauth2::decode(node, decoder).map(|it| Self::Oauth2(it.into())),
            Kind::None => NoAuth::decode(node, decoder).map(Self::None),
        }
    }
}
