//! The description of the tools listener, read by schemathesis: it makes up requests, good and bad, and sequences of
//! them, and looks whether the answers are as they were described.

use super::apis;
use super::installed;

/// The same requests in every run, about two hundred.
const TRY: &str = "exec schemathesis --config-file \"$1\" run \"$EXEAT_TOOLS_URL/v1/openapi.json\" \
                   --header \"Authorization: Bearer $EXEAT_TOKEN\" --max-examples 10 --generation-deterministic \
                   --generation-database none --max-time 50 --no-color";

#[test]
fn schemathesis_finds_nothing() {
    let (stage, _origin) = apis::weather();
    let stage = stage.acting_as("weather-bot", "agent-token");
    let programs = installed::python();
    let programs = programs.parent().unwrap().to_str().unwrap();
    let settings = installed::script("schemathesis.toml");
    // The listener is exeat's own, so the proxy does not lead there.
    let own = "NO_PROXY=127.0.0.1";
    let path = format!("PATH={programs}:/usr/bin:/bin");
    let settings = settings.to_str().unwrap();
    let arguments = [own, &path, "sh", "-c", TRY, "sh", settings];
    let ran = stage.exec(&installed::program("env"), &arguments);
    let said = ran.output();
    assert!(said.contains("7 selected / 7 total"), "{said}");
    let records = ran.records();
    for (method, action) in [("a call", true), ("a page", false)] {
        let found = records
            .iter()
            .any(|it| it["decision"] == "allowed" && it["action"].is_string() == action);
        assert!(found, "{method} that was good: {said}");
    }
    assert!(!ran.mentions(apis::OPENWEATHER_KEY));
}
