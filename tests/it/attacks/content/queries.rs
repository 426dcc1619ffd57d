//! What a query may say.

use serde_json::json;

use super::{
    INVALID, NOT_CANONICAL, TWICE, UNDECLARED, calls_refused, gets_refused, gets_same, stage_with,
};
use crate::attacks::stage::{Door, Stage};
use crate::world::Answer;

#[test]
fn e17_a_parameter_is_sent_once() {
    gets_refused(
        &Stage::usual(),
        TWICE,
        &[
            "/v1/items/1?fields=name&fields=qty",
            "/v1/items/1?fields=name&fields=name",
            "/v1/items/1?fields=name&f%69elds=name",
            "/v1/items/1?fields=&fields=name",
            "/v1/items/1?fields=name&fields",
            "/v1/items/1?fields=name&&fields=qty",
            "/v1/items/1?fields=name&FIELDS=qty",
            "/v1/items/1?fields=name&field%C5%BF=qty",
        ],
    );
}

#[test]
fn e18_a_parameter_is_declared() {
    let stage = Stage::usual();
    gets_refused(
        &stage,
        UNDECLARED,
        &[
            "/v1/items/1?fields=name&admin=true",
            "/v1/items/1?admin=true",
            "/v1/items/1?admin",
            "/v1/items/1?id=2",
            "/v1/items/1?fields=name&id=1",
            "/v1/items/1?_method=DELETE",
            "/v1/items/1?callback=x",
            "/v1/items/1?field=name",
            "/v1/items/1?http://evil.test/=x",
            "/v1/stream?x=1",
        ],
    );
    calls_refused(
        &stage,
        "get_item",
        UNDECLARED,
        &[
            json!({"id": "1", "admin": true}),
            json!({"id": "1", "": "x"}),
            json!({"id": "1", "__proto__": {"admin": true}}),
            json!({"id": "1", "constructor": {"prototype": {}}}),
        ],
    );
}

#[test]
fn e19_a_name_is_no_other_name_to_any_framework() {
    let stage = Stage::usual();
    gets_refused(
        &stage,
        UNDECLARED,
        &[
            "/v1/items/1?fields[]=name",
            "/v1/items/1?fields%5B%5D=name",
            "/v1/items/1?fields[0]=name",
            "/v1/items/1?fields[x]=y",
            "/v1/items/1?fields[=name",
            "/v1/items/1?[fields]=name",
            "/v1/items/1?fields.x=1",
            "/v1/items/1?fields.=name",
            "/v1/items/1?fields:name=name",
            "/v1/items/1?fields!=name",
            "/v1/items/1?FIELDS=name",
            "/v1/items/1?Fields=name",
            "/v1/items/1?field%C5%BF=name",
            "/v1/items/1?+fields=name",
            "/v1/items/1?fields+=name",
            "/v1/items/1?%20fields=name",
            "/v1/items/1?fields%20=name",
            "/v1/items/1?%EF%BB%BFfields=name",
            "/v1/items/1?%66%69elds%5B=name",
            "/v1/items/1??fields=name",
            "/v1/items/1?%3Ffields=name",
            "/v1/items/1?%26fields=name",
            "/v1/items/1?fields%3Dname",
            "/v1/items/1?%2566ields=name",
            "/v1/items/1?$fields=name",
            "/v1/items/1?fields,=name",
        ],
    );
    gets_refused(
        &stage,
        INVALID,
        &[
            "/v1/items/1?fields=Name",
            "/v1/items/1?fields=name,qty",
            "/v1/items/1?fields=name%20",
            "/v1/items/1?fields=+name",
            "/v1/items/1?fields==name",
            "/v1/items/1?fields=name%26fields=qty",
            "/v1/items/1?fields=name?fields=qty",
            "/v1/items/1?fields=%256eame",
            "/v1/items/1?fields=n%EF%BD%81me",
            "/v1/items/1?fields",
            "/v1/items/1?fields=",
        ],
    );
    gets_same(
        &stage,
        "/v1/items/1?fields=name",
        &[
            "/v1/items/1?%66ields=name",
            "/v1/items/1?%66%69%65%6c%64%73=%6E%61%6D%65",
            "/v1/items/1?fields=name&",
            "/v1/items/1?&&fields=name&&",
            "/v1/items/%31?fields=name",
        ],
    );
    gets_same(
        &stage,
        "/v1/items/1",
        &["/v1/items/1?", "/v1/items/1?&", "/v1/items/1?&&&"],
    );
    calls_refused(
        &stage,
        "get_item",
        UNDECLARED,
        &["fields[]", "FIELDS", "field\u{17f}", "fields ", "fields.x"]
            .map(|name| json!({"id": "1", name: "name"})),
    );
}

#[test]
fn e20_a_semicolon_separates_nothing() {
    gets_refused(
        &Stage::usual(),
        NOT_CANONICAL,
        &[
            "/v1/items/1?fields=name;admin=1",
            "/v1/items/1?fields=name;fields=qty",
            "/v1/items/1?fields=name;",
            "/v1/items/1?;fields=name",
            "/v1/items/1?;",
            "/v1/items/1?fields;=name",
            "/v1/items/1?=name",
            "/v1/items/1?=",
            "/v1/items/1?fields=name&=x",
        ],
    );
}

/// Encoded it is a character of a value, and leaves encoded.
#[test]
fn e20_an_encoded_separator_stays_in_its_value() {
    let stage = stage_with(
        "  find:\n    description: Finds what has these words.\n    method: GET\n    \
         url: https://api.good.test/search\n    query: {mode: json, q: \"{{q}}\"}\n    \
         parameters:\n      properties: {q: {type: string}, n: {type: string}}\n      required: [q]\n",
    );
    for door in Door::ALL {
        for (sent, canonical) in [
            ("q=a%3Bn=b", "mode=json&q=a%3Bn%3Db"),
            ("q=a%26n%3Db&n=c", "mode=json&q=a%26n%3Db&n=c"),
            ("n=c&q=a+b%2Bc", "mode=json&q=a%20b%2Bc&n=c"),
            ("q=%252e%23", "mode=json&q=%252e%23"),
            ("q=a=b", "mode=json&q=a%3Db"),
            ("q=a/b?c", "mode=json&q=a%2Fb%3Fc"),
            ("q=a%0D%0AX:y", "mode=json&q=a%0D%0AX%3Ay"),
            ("q=%E2%80%AE", "mode=json&q=%E2%80%AE"),
            ("q=a[b]", "mode=json&q=a%5Bb%5D"),
        ] {
            let (seen, _) = stage.serves(door, &door.get(&format!("/search?{sent}")));
            assert_eq!(
                seen.line(),
                format!("GET /search?{canonical} HTTP/1.1"),
                "{sent}"
            );
        }
        for path in [
            "/search?q=a&mode=xml",
            "/search?q=a&mod%65=xml",
            "/search?q=a&mode=",
        ] {
            stage.refuses(door, &door.get(path), INVALID);
        }
        stage.refuses(door, &door.get("/search?q=a&mode=json&mode=json"), TWICE);
        stage.refuses(door, &door.get("/search?q=a&Mode=json"), UNDECLARED);
    }
}

#[test]
fn e22_the_place_of_a_credential_is_ours_in_any_encoding() {
    let stage = Stage::usual();
    let ask = |inside: bool, query: &str| -> Answer {
        let client = stage.world.client();
        let url = format!("https://api.two.test/me{query}");
        match inside {
            true => client.send_inside("GET", &url, &[], ""),
            false => client.get(&url),
        }
    };
    let mut records = 0;
    for inside in [false, true] {
        for query in [
            "?key=attacker",
            "?k%65y=attacker",
            "?%6B%65%79=attacker",
            "?key=",
            "?key",
            "?key=a&key=b",
            "?key=a&k%65y=b&key",
            "?key=SECRET",
            "?&key=attacker&",
        ] {
            let seen = stage.seen().len();
            let answer = ask(inside, query);
            assert_eq!(answer.status, 200, "{query}: {answer:?}");
            let line = stage.seen()[seen].line().to_owned();
            assert_eq!(line, "GET /me?key=SECRET-BBBB HTTP/1.1", "{query}");
            let record = stage.world.records_behind(records, 1).remove(0);
            records += 1;
            assert_eq!(
                record["replaced"],
                json!(["query key"]),
                "{query}: {record}"
            );
            assert!(!record.to_string().contains("attacker"), "{record}");
        }
        for query in [
            "?KEY=attacker",
            "?Key=attacker",
            "?k%45y=attacker",
            "?%E2%84%AAey=attacker",
            "?key[]=attacker",
            "?key%20=attacker",
            "?+key=attacker",
            "?key.x=attacker",
            "?key=a&KEY=b",
            "?api_key=attacker",
        ] {
            let (lookups, fetched) = (stage.world.lookups().len(), stage.world.fetched().len());
            let answer = ask(inside, query);
            let refused = ["parameter_undeclared", "parameter_duplicate"];
            assert!(refused.contains(&answer.refusal()), "{query}: {answer:?}");
            records += 1;
            stage.world.records(records);
            assert_eq!(stage.world.lookups().len(), lookups, "{query}");
            assert_eq!(stage.world.fetched().len(), fetched, "{query}");
        }
        let answer = ask(inside, "?key=a;key=b");
        assert_eq!(answer.refusal(), NOT_CANONICAL.1);
        records += 1;
        stage.world.records(records);
    }
    calls_refused(
        &stage,
        "two",
        UNDECLARED,
        &["key", "KEY", "key[]"].map(|name| json!({name: "attacker"})),
    );
}
