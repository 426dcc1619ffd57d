//! `character-api`: five endpoints, all POST with a JSON body, whose errors come with status 200 too. The policy is the
//! shipped one; the document's sample programs run in `clients::characters`.

use super::row::{Row, row, secret};

const LINES: usize = 141;

#[test]
fn creating_and_updating() {
    super::prove("character-api", LINES, &rows(create_and_update_rows()));
}

#[test]
fn getting_cloning_and_deleting() {
    super::prove("character-api", LINES, &rows(get_clone_and_delete_rows()));
}

/// All of them are about the shipped policy.
fn rows(rows: Vec<Row>) -> Vec<Row> {
    let policy = super::shipped("character-api.yaml");
    rows.into_iter()
        .map(|row| row.policy(policy.clone()))
        .collect()
}

const CREATE: &str = "POST https://api.convai.com/character/create";
const UPDATE: &str = "POST https://api.convai.com/character/update";
const GET: &str = "POST https://api.convai.com/character/get";
const CLONE: &str = "POST https://api.convai.com/user/clone_character";
const DELETE: &str = "POST https://api.convai.com/character/delete";

const RAYMOND: &str = r#"{"charName":"Raymond","voiceType":"MALE","backstory":"On a list."}"#;
const BAD_KEY: &str = r#"{"API_ERROR":"Invalid API key provided."}"#;

/// The key of every endpoint: the agent's own is replaced.
fn keyed(line: usize, request: &'static str, body: &'static str) -> Row {
    row(line, "CONVAI-API-KEY*")
        .posts(request, body)
        .carrying("CONVAI-API-KEY: <your api key>")
        .with("convai-api-key", secret("character_api_key"))
        .recorded("replaced", vec!["header convai-api-key"])
        .hides("SECRET-character_api_key")
}

/// A required parameter: a body without it is refused, and told.
fn required(line: usize, quote: &'static str, request: &'static str, without: &'static str) -> Row {
    row(line, quote)
        .posts(request, without)
        .refused("parameter_missing")
        .told(quote.trim_end_matches('*'))
}

/// A reply, its name, and that it passes as it came.
fn named(
    line: usize,
    quote: &'static str,
    (request, body): (&'static str, &'static str),
    reply: &'static str,
    outcome: &'static str,
) -> Row {
    row(line, quote)
        .posts(request, body)
        .answered(200, reply)
        .outcome(outcome)
        .status(200)
        .returned(reply)
}

fn create_and_update_rows() -> Vec<Row> {
    let create = (CREATE, RAYMOND);
    let update = (UPDATE, r#"{"charID":"c-1","charName":"Red"}"#);
    let backstory = r#"{"backstory":"New.","charID":"c-1"}"#;
    vec![
        row(6, "https://api.convai.com/character/create")
            .posts(CREATE, RAYMOND)
            .leaves("POST /character/create")
            .with("content-type", "application/json")
            .recorded("action", "create_character")
            .sends("GET https://api.convai.com/character/create")
            .refused("action_undeclared"),
        keyed(12, CREATE, RAYMOND),
        required(
            19,
            "charName*",
            CREATE,
            r#"{"voiceType":"MALE","backstory":"b"}"#,
        ),
        required(
            22,
            "voiceType*",
            CREATE,
            r#"{"charName":"Raymond","backstory":"b"}"#,
        ),
        required(
            25,
            "backstory*",
            CREATE,
            r#"{"charName":"Raymond","voiceType":"MALE"}"#,
        ),
        row(28, "actions")
            .posts(
                CREATE,
                r#"{"charName":"R","voiceType":"MALE","backstory":"b","actions":"wave, nod"}"#,
            )
            .body(r#"{"charName":"R","voiceType":"MALE","backstory":"b","actions":"wave, nod"}"#)
            .posts(
                CREATE,
                r#"{"charName":"R","voiceType":"MALE","backstory":"b","actions":["wave"]}"#,
            )
            .refused("parameter_invalid"),
        named(31, "{\"charID\":", create, r#"{"charID":"c-1"}"#, "created"),
        row(31, "<character id for new character>")
            .calling("create_character", RAYMOND)
            .answered(200, r#"{"charID":"c-1"}"#)
            .body(RAYMOND)
            .outcome("created")
            .variables(r#"{"character.id":"c-1"}"#),
        named(
            32,
            "{\"INTERNAL_ERROR\":",
            create,
            r#"{"INTERNAL_ERROR":"Error in creating the character."}"#,
            "not_created",
        ),
        row(32, "Check if all the input data is valid")
            .calling("create_character", RAYMOND)
            .answered(
                200,
                r#"{"INTERNAL_ERROR":"Error in creating the character."}"#,
            )
            .outcome("not_created")
            .says("Not created: check the voice and the texts.")
            .variables("{}"),
        named(
            33,
            "{\"API_ERROR\":\"Invalid API key provided.\"",
            create,
            BAD_KEY,
            "bad_key",
        ),
        named(
            33,
            "\"api_key not found.\"",
            create,
            r#"{"API_ERROR":"api_key not found."}"#,
            "bad_key",
        ),
        row(33, "{\"API_ERROR\":")
            .posts(CREATE, RAYMOND)
            .answered(401, BAD_KEY)
            .outcome("bad_key")
            .status(401)
            .posts(CREATE, RAYMOND)
            .answered(200, "{}")
            .outcome("failed")
            .posts(CREATE, RAYMOND)
            .answered(500, "oops")
            .outcome("failed")
            .returned("oops"),
        row(38, "https://api.convai.com/character/update")
            .posts(UPDATE, backstory)
            .leaves("POST /character/update"),
        row(39, "Users need to only pass any new character information")
            .posts(UPDATE, backstory)
            .body(r#"{"charID":"c-1","backstory":"New."}"#),
        keyed(44, UPDATE, backstory),
        required(51, "charID*", UPDATE, r#"{"charName":"Red"}"#),
        row(54, "charName")
            .posts(UPDATE, r#"{"charID":"c-1","charName":"Red"}"#)
            .body(r#"{"charID":"c-1","charName":"Red"}"#),
        row(57, "backstory")
            .posts(UPDATE, backstory)
            .body(r#"{"charID":"c-1","backstory":"New."}"#),
        row(60, "voiceType")
            .posts(UPDATE, r#"{"charID":"c-1","voiceType":"US MALE 1"}"#)
            .body(r#"{"charID":"c-1","voiceType":"US MALE 1"}"#),
        row(62, "action")
            .posts(UPDATE, r#"{"charID":"c-1","action":"nod"}"#)
            .body(r#"{"charID":"c-1","action":"nod"}"#)
            .posts(UPDATE, r#"{"charID":"c-1","actions":"nod"}"#)
            .refused("parameter_undeclared"),
        row(66, "List <String>")
            .posts(UPDATE, r#"{"charID":"c-1","languageCodes":["en-US","de"]}"#)
            .body(r#"{"charID":"c-1","languageCodes":["en-US","de"]}"#)
            .posts(UPDATE, r#"{"charID":"c-1","languageCodes":"en-US"}"#)
            .refused("parameter_invalid")
            .posts(UPDATE, r#"{"charID":"c-1","languageCodes":[7]}"#)
            .refused("parameter_invalid")
            .told("/languageCodes/0"),
        named(
            67,
            "{\"STATUS\":\"SUCCESS\"}",
            update,
            r#"{"STATUS":"SUCCESS"}"#,
            "updated",
        ),
        named(
            68,
            "Could not fetch character details",
            update,
            r#"{"ERROR":"Could not fetch character details from all_characters table."}"#,
            "not_updated",
        ),
        named(
            68,
            "Could not update character backstory",
            update,
            r#"{"ERROR":"Could not update character backstory."}"#,
            "not_updated",
        ),
        named(
            68,
            "Could not update all_characters table",
            update,
            r#"{"ERROR":"Could not update all_characters table."}"#,
            "not_updated",
        ),
        named(
            69,
            "{\"API_ERROR\":\"Invalid API key provided.\"",
            update,
            BAD_KEY,
            "bad_key",
        ),
    ]
}

const CHARACTER: &str = r#"{"character_name":"Raymond","user_id":"u-1","character_id":"c-1","voice_type":"MALE","timestamp":"t","backstory":"b"}"#;

fn get_clone_and_delete_rows() -> Vec<Row> {
    let id = r#"{"charID":"c-1"}"#;
    let clone_body = r#"{"charID":"c-1","KB":false}"#;
    vec![
        row(76, "https://api.convai.com/character/get").posts(GET, id).leaves("POST /character/get").body(id),
        keyed(82, GET, id),
        row(89, "charID*").posts(GET, "{}").refused("parameter_missing").told("charID"),
        row(92, "{\"character_name\":\"<name of the character>\"").posts(GET, id).answered(200, CHARACTER).outcome("found")
            .returned(r#"{"character_name":"Raymond","character_id":"c-1","voice_type":"MALE","backstory":"b"}"#),
        named(93, "{\"ERROR\":\"INTERNAL SERVER ERROR", (GET, id), r#"{"ERROR":"INTERNAL SERVER ERROR, one or more database calls failed!"}"#, "not_found"),
        row(95, "Search by charID:").calling("get_character", id).body(id),
        row(98, "Search by charName:").posts(GET, r#"{"charName":"Raymond"}"#).body(r#"{"charName":"Raymond"}"#)
            .calling("get_character", r#"{"charName":"Raymond"}"#).body(r#"{"charName":"Raymond"}"#)
            .posts(GET, r#"{"charID":"c-1","charName":"Raymond"}"#).refused("parameter_invalid"),
        row(102, "https://api.convai.com/user/clone_character").posts(CLONE, id).leaves("POST /user/clone_character"),
        keyed(108, CLONE, id),
        required(115, "charID*", CLONE, r#"{"KB":true}"#),
        row(118, "KB").posts(CLONE, r#"{"KB":true,"charID":"c-1"}"#).body(r#"{"charID":"c-1","KB":true}"#),
        row(119, "Bool").posts(CLONE, r#"{"charID":"c-1","KB":"true"}"#).refused("parameter_invalid").told("/KB"),
        row(120, "Default is False.").posts(CLONE, id).body(clone_body).calling("clone_character", id).body(clone_body),
        named(121, "{\"charID\":\"<id of the newly created cloned character>\"}", (CLONE, id), r#"{"charID":"c-2"}"#, "cloned"),
        row(124, "Delete an existing character using this command").posts(DELETE, id).leaves("POST /character/delete").body(id)
            .posts("DELETE https://api.convai.com/character/delete", id).refused("action_undeclared"),
        row(124, "this action is irreversible").shows(r#""destructiveHint":true"#),
        keyed(129, DELETE, id),
        required(136, "charID*", DELETE, "{}"),
        named(139, "{\"STATUS\":\"SUCCESS\"}", (DELETE, id), r#"{"STATUS":"SUCCESS"}"#, "deleted"),
        row(141, "https://api.convai.com/character/delete").calling("delete_character", id).leaves("POST /character/delete")
            .answered(200, r#"{"ERROR":"no such character"}"#).outcome("not_deleted").says("Not deleted: check the id of the character."),
    ]
}
