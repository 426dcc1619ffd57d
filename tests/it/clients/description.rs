//! The description of the tools listener, read by schemathesis: it makes up requests, good and bad, and sequences of
//! them, and looks whether the answers are as they were described.

use serde_json::json;

use super::installed;
use super::origin;
use super::origin::Origin;
use super::stage::Stage;

/// An action that can be called without parameters. The description does not have their schemas, since each agent has
/// actions of its own, so schemathesis cannot make up others.
const POLICY: &str = "version: 1
actions:
  list_items:
    description: Lists the items of the catalogue.
    method: GET
    url: https://api.example.com/items
    parameters: {properties: {limit: {type: integer}}}
";

/// The same requests in every run: some hundreds.
const TRY: &str = "exec \"$1\" run \"$EXEAT_TOOLS_URL/v1/openapi.json\" --no-color \
                   --header \"Authorization: Bearer $EXEAT_TOKEN\" --max-examples 10 --generation-deterministic";

#[test]
fn schemathesis_finds_nothing() {
    let origin = Origin::start("api.example.com", |_| origin::json(200, &json!([1, 2])));
    let stage = Stage::with_policy(POLICY)
        .reaching("api.example.com", &origin)
        .acting_as("bot", "agent-token");
    let schemathesis = installed::python().with_file_name("schemathesis");
    // The listener is exeat's own, so the proxy does not lead there.
    let arguments = ["NO_PROXY=127.0.0.1", "sh", "-c", TRY, "sh"].map(Into::into);
    let arguments = [&arguments[..], &[schemathesis.into_os_string()]].concat();
    let ran = stage.exec(&installed::program("env"), &arguments);
    let said = ran.output();
    assert!(said.contains("7 selected / 7 total"), "{said}");
    assert!(!origin.asked().is_empty(), "no call was good: {said}");
}
