//! The sample programs of a character API's documentation, in Python and for curl, as they were written: a text where
//! the key would be. Long texts are shortened.

use serde_json::{Value, json};

use super::installed;
use super::origin;
use super::origin::{Asked, Origin, Reply};
use super::stage::Stage;

const HOST: &str = "api.convai.com";
const KEY: &str = "the-real-character-key";

/// The line of the document, the program, and what it does.
const PROGRAMS: [(usize, &str, &str); 10] = [
    (35, "create.py", "/character/create"),
    (36, "create.sh", "/character/create"),
    (71, "update.py", "/character/update"),
    (73, "update.sh", "/character/update"),
    (96, "get_by_id.py", "/character/get"),
    (97, "get_by_id.sh", "/character/get"),
    (99, "get_by_name.py", "/character/get"),
    (100, "get_by_name.sh", "/character/get"),
    (123, "clone.py", "/user/clone_character"),
    (141, "delete.py", "/character/delete"),
];

#[test]
fn every_sample_program_gets_its_answer_without_a_key() {
    for (line, program, target) in PROGRAMS {
        let at = format!("character-api:{line} {program}");
        let origin = Origin::start(HOST, answer);
        let stage = Stage::with_shipped_policies()
            .reaching(HOST, &origin)
            .secret("CONVAI_API_KEY", KEY);
        let interpreter = match program.ends_with(".py") {
            true => installed::python(),
            false => installed::program("sh"),
        };
        let script = installed::script("characters").join(program);
        let ran = stage.exec(&interpreter, &[script]);
        let printed: Value = serde_json::from_str(ran.output()).unwrap();
        assert_eq!(printed, reply(target, false), "{at} {ran:#?}");
        let asked = origin.asked();
        assert_eq!(asked.len(), 1, "{at} {asked:?}");
        assert_eq!(asked[0].target, target, "{at}");
        let sent: Value = serde_json::from_slice(&asked[0].body).unwrap();
        assert_eq!(sent, body(program), "{at}");
        let record = ran.record();
        assert_eq!(record["replaced"], json!(["header convai-api-key"]), "{at}");
        assert!(!ran.mentions(KEY), "{at} {ran:#?}");
    }
}

/// Answers whoever shows exactly one key, the right one.
fn answer(asked: &Asked) -> Reply {
    let is_good = asked.header("convai-api-key") == [KEY]
        && asked.header("content-type") == ["application/json"];
    if is_good {
        origin::json(200, &reply(&asked.target, true))
    } else {
        origin::json(200, &json!({"API_ERROR": "Invalid API key provided."}))
    }
}

/// What the API says, and what of it reaches an agent.
fn reply(target: &str, whole: bool) -> Value {
    match target {
        "/character/create" => json!({"charID": "c-1"}),
        "/user/clone_character" => json!({"charID": "c-2"}),
        "/character/get" => {
            let mut character = json!({
                "character_name": "Raymond",
                "character_id": "c-1",
                "voice_type": "MALE",
                "backstory": "On a list.",
            });
            if whole {
                character["user_id"] = json!("u-1");
                character["timestamp"] = json!("2026-01-31T09:30:00Z");
            }
            character
        }
        _ => json!({"STATUS": "SUCCESS"}),
    }
}

/// What each program asks for, and the default that exeat fills in.
fn body(program: &str) -> Value {
    match program.split('.').next().unwrap() {
        "create" => json!({
            "charName": "Raymond",
            "voiceType": "MALE",
            "backstory": "Raymond Reddington is the main character of a series. He was #4 and later #1 on the \
                FBI's list, and turns himself in after 20+ years.",
        }),
        "update" => json!({
            "charID": "<character ID>",
            "charName": "Raymond Reddington",
            "backstory": "As he puts it, “I’m a criminal. Criminals are notorious liars.” That’s probably true, \
                actually, but who knows for sure.",
            "voiceType": "US MALE 1",
        }),
        "get_by_id" => json!({"charID": "<id of the character>"}),
        "get_by_name" => json!({"charName": "name of the character"}),
        "clone" => json!({"charID": "<Your-Character-Id>", "KB": false}),
        "delete" => json!({"charID": "<Your-Character-Id>"}),
        _ => panic!("no such program: {program}"),
    }
}
