//! Endpoints that behave and that do not: where they are, and what they say.

use serde_json::json;

use super::{POLICY, api, tokens, world};
use crate::attacks::texts;
use crate::world::{Revision, json_reply};

/// The policy's first connector with another endpoint.
fn with_endpoint(url: &str) -> String {
    POLICY.replacen("https://auth.good.test/oauth2/token", url, 1)
}

#[test]
fn k1_a_token_endpoint_has_to_have_a_public_address() {
    for address in ["10.0.0.5", "127.0.0.1", "169.254.169.254"] {
        let world = world();
        let _api = api(&world, 1);
        world.resolve("auth.good.test", &[address]);
        let answer = world.client().get("http://api.good.test/orders/7");
        assert_eq!(answer.refusal(), "token_unavailable", "{address}");
        assert!(!answer.text().contains(address));
        assert_eq!((world.lookups().len(), world.dials().len()), (1, 0));
        assert!(
            world.record()["detail"]
                .as_str()
                .is_none_or(|it| !it.contains("SECRET"))
        );
    }
}

#[test]
fn k3_without_a_token_nothing_is_sent_and_nothing_is_quoted() {
    let json = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    let body =
        |head: &str, text: &str| format!("{head}Content-Length: {}\r\n\r\n{text}", text.len());
    let token = |token: &str, kind: &str| {
        body(
            json,
            &format!(r#"{{"access_token":"{token}","token_type":"{kind}"}}"#),
        )
    };
    let html = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n";
    let gzip = format!("{json}Content-Encoding: gzip\r\n");
    let error = "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\n";
    for reply in [
        "HTTP/1.1 302 Found\r\nLocation: https://evil.test/\r\nContent-Length: 0\r\n\r\n".into(),
        body(html, "<p>SECRET-CCCC</p>"),
        format!("{json}Content-Length: 2147483648\r\n\r\n{{"),
        format!(
            "{json}Transfer-Encoding: chunked\r\n\r\n20000\r\n{}\r\n0\r\n\r\n",
            " ".repeat(0x20000)
        ),
        body(&gzip, "{}"),
        body(json, "not JSON SECRET-CCCC"),
        token("t", "mac"),
        token("", "bearer"),
        token("a b", "bearer"),
        token("a\\r\\nX-Evil: y", "bearer"),
        body(json, r#"{"access_token":"t"}"#),
        body(
            error,
            r#"{"error":"invalid_client","error_description":"SECRET-CCCC"}"#,
        ),
        format!("{json}Content-Length: 10\r\nContent-Length: 11\r\n\r\n"),
    ] {
        let world = world();
        let api = api(&world, 1);
        let sent = reply.clone();
        let issuer = world.origin("auth.good.test", move |_| sent.clone().into_bytes());
        for _ in 0..2 {
            let answer = world.client().get("http://api.good.test/orders/7");
            assert_eq!(
                (answer.status, answer.refusal()),
                (503, "token_unavailable"),
                "{reply}"
            );
            assert!(!answer.text().contains("SECRET"), "{reply}");
        }
        assert_eq!(api.seen(), [], "{reply}");
        assert_eq!(
            issuer.seen().len(),
            1,
            "the endpoint is left alone: {reply}"
        );
        let records = world.records(2);
        assert!(records.iter().all(|it| it["code"] == "token_unavailable"));
        assert!(!world.everything_written().contains("SECRET"), "{reply}");
    }
}

#[test]
fn k12_a_lost_client_secret_is_told_as_such_and_nothing_is_dialled() {
    let world = world();
    world.lose_secret("crm_secret");
    let answer = world.client().get("http://api.good.test/orders/7");
    assert_eq!(
        (answer.status, answer.refusal()),
        (503, "secret_unavailable")
    );
    assert_eq!(world.dials(), []);
}

#[test]
fn k1_an_endpoint_is_a_name_over_tls_and_nothing_else() {
    for url in [
        "http://auth.good.test/oauth2/token",
        "HTTP://auth.good.test/oauth2/token",
        "ftp://auth.good.test/token",
        "//auth.good.test/token",
        "https://203.0.114.40/token",
        "https://[2001:db8::1]/token",
        "https://0x7f.1/token",
        "https://2130706433/token",
        "https://*.good.test/token",
        "https://user:pass@auth.good.test/token",
        "https://auth.good.test/token?x=1",
        "https://auth.good.test/token#x",
        "https://auth.good.test/{{id}}/token",
        "https://auth.good.test:0/token",
        "https:///token",
    ] {
        texts::refused(&with_endpoint(url), "policy.yaml:8:");
    }
}

#[test]
fn k1_an_endpoint_that_leads_elsewhere_is_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        for target in [
            "https://evil.test/",
            "http://auth.good.test/",
            "/elsewhere",
            "https://10.0.0.5/",
        ] {
            let world = world();
            let api = api(&world, 1);
            let issuer = world.origin("auth.good.test", move |_| {
                format!(
                    "HTTP/1.1 {status} Moved\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n"
                )
                .into_bytes()
            });
            let answer = world.client().get("http://api.good.test/orders/7");
            assert_eq!(
                (answer.status, answer.refusal()),
                (503, "token_unavailable")
            );
            assert_eq!((issuer.seen().len(), api.seen().len()), (1, 0));
            assert_eq!(world.lookups(), ["auth.good.test"]);
            assert_eq!(world.dials().len(), 1);
        }
    }
}

/// Ten seconds is what the call itself has; nobody waits for it longer than the action's own time.
#[test]
fn k3_an_endpoint_that_drips_is_not_waited_for() {
    let world = world();
    let api = api(&world, 1);
    let (given_up, waiting) = std::sync::mpsc::channel::<()>();
    let waiting = std::sync::Mutex::new(waiting);
    world.scripted("auth.good.test", 443, move |stream| {
        crate::world::read_request(stream);
        let head =
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{";
        let _ = stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.flush());
        let _ = waiting
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .recv();
    });
    let answer = world.client().get("http://api.good.test/soon");
    assert_eq!(
        (answer.status, answer.refusal()),
        (503, "token_unavailable")
    );
    assert_eq!(api.seen(), []);
    drop(given_up);
}

#[test]
fn k4_only_a_bearer_token_of_visible_characters_is_one() {
    for kind in ["Bearer", "bearer", "bEaReR", "BEARER"] {
        let world = world();
        let api = api(&world, 1);
        world.origin("auth.good.test", move |_| {
            json_reply(&format!(
                r#"{{"access_token":"token-1","token_type":"{kind}"}}"#
            ))
        });
        assert_eq!(
            world.client().get("http://api.good.test/orders/7").status,
            200
        );
        assert_eq!(tokens(&api), ["Bearer token-1"]);
    }
    for reply in [
        r#"{"access_token":"token-1","token_type":"mac"}"#,
        r#"{"access_token":"token-1","token_type":"DPoP"}"#,
        r#"{"access_token":"token-1","token_type":"bearer "}"#,
        r#"{"access_token":"token-1","token_type":"bearer, mac"}"#,
        r#"{"access_token":"token-1","token_type":""}"#,
        r#"{"access_token":"token-1","token_type":["bearer"]}"#,
        r#"{"access_token":"token-1","token_type":null}"#,
        r#"{"access_token":"token-1"}"#,
        r#"{"access_token":"token-1","token_type":"bearer","token_type":"mac"}"#,
        r#"{"access_token":"token-1","access_token":"token-2","token_type":"bearer"}"#,
        r#"{"access_token":"","token_type":"bearer"}"#,
        r#"{"access_token":" ","token_type":"bearer"}"#,
        r#"{"access_token":"token-1 x","token_type":"bearer"}"#,
        r#"{"access_token":"token-1\r\nX-Evil: y","token_type":"bearer"}"#,
        r#"{"access_token":"token-1\n","token_type":"bearer"}"#,
        r#"{"access_token":"token-1\u0000","token_type":"bearer"}"#,
        r#"{"access_token":"token-1\t","token_type":"bearer"}"#,
        r#"{"access_token":"token-1\u007f","token_type":"bearer"}"#,
        r#"{"access_token":"tok\u00e9n-1","token_type":"bearer"}"#,
        r#"{"access_token":17,"token_type":"bearer"}"#,
        r#"{"access_token":null,"token_type":"bearer"}"#,
        r#"{"Access_Token":"token-1","token_type":"bearer"}"#,
        r#"["token-1"]"#,
        "null",
    ] {
        let world = world();
        let api = api(&world, 1);
        world.origin("auth.good.test", move |_| json_reply(reply));
        let answer = world.client().get("http://api.good.test/orders/7");
        assert_eq!(
            (answer.status, answer.refusal()),
            (503, "token_unavailable"),
            "{reply}"
        );
        assert_eq!(api.seen(), [], "{reply}");
        assert!(!world.everything_written().contains("token-1"), "{reply}");
    }
}

#[test]
fn k12_what_an_endpoint_says_of_its_refusal_is_repeated_to_nobody() {
    let encoded = "YWdlbnRzOnMlM0FlJTI1YyUyNlNFQ1JFVC1DQ0ND";
    for (status, body) in [
        (
            400,
            r#"{"error":"invalid_client","error_description":"s:e%c&SECRET-CCCC is wrong"}"#
                .to_owned(),
        ),
        (401, r#"{"error":"SECRET-CCCC"}"#.into()),
        (
            401,
            format!(r#"{{"error":"invalid_client","error_uri":"https://evil.test/?{encoded}"}}"#),
        ),
        (500, "SECRET-CCCC".into()),
        (
            200,
            format!(r#"{{"access_token":"a b","token_type":"bearer","assertion":"{encoded}"}}"#),
        ),
    ] {
        let world = world();
        let api = api(&world, 1);
        let told = body.clone();
        world.origin("auth.good.test", move |_| {
            let length = told.len();
            format!(
                "HTTP/1.1 {status} SECRET-CCCC\r\nContent-Type: application/json\r\nX-Echo: SECRET-CCCC\r\nContent-Length: {length}\r\n\r\n{told}"
            )
            .into_bytes()
        });
        let answer = world.client().get("http://api.good.test/orders/7");
        assert_eq!(
            (answer.status, answer.refusal()),
            (503, "token_unavailable"),
            "{body}"
        );
        let called = world.call("get_order", "", &json!({"parameters": {"id": "7"}}));
        let mut pipe = world.pipe(Revision::ALL[1], None, None);
        let said = pipe.call("get_order", json!({"id": "7"})).to_string();
        world.records(3);
        for text in [
            answer.head.as_str(),
            answer.text(),
            called.text(),
            &said,
            &world.everything_written(),
        ] {
            assert!(
                !text.contains("SECRET") && !text.contains(encoded),
                "{body}: {text}"
            );
        }
        assert_eq!(api.seen(), []);
    }
}
