//! Two API methods in Python as their authors wrote them, with placeholders where the keys were.

use serde_json::{Value, json};

use super::apis;
use super::installed;
use super::stage::{Ran, Stage};

#[test]
fn the_weather_program_runs_with_a_placeholder() {
    let (stage, origin) = apis::weather();
    let (returned, ran) = run(&stage, "weather.py", &json!({"city": "New York"}));
    assert_eq!(returned, json!({"weather": "clear sky"}), "{ran:#?}");
    let asked = origin.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0].target, apis::weather_target());
    let record = ran.record();
    assert_eq!(record["action"], "get_weather");
    assert_eq!(record["replaced"], json!(["query appid"]));
    assert!(!ran.mentions(apis::OPENWEATHER_KEY), "{ran:#?}");
}

#[test]
fn the_jira_program_runs_with_a_placeholder() {
    let (stage, origin) = apis::jira();
    let event = json!({
        "summary": "This is to test ticket creation",
        "description": "Created using External API",
    });
    let (returned, ran) = run(&stage, "jira.py", &event);
    assert_eq!(returned["key"], "EX-5", "{returned} {ran:#?}");
    let asked = origin.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0].header("authorization").len(), 1);
    let record = ran.record();
    assert_eq!(record["action"], "create_support_ticket");
    assert_eq!(record["replaced"], json!(["header authorization"]));
    assert!(!ran.mentions(apis::JIRA_TOKEN), "{ran:#?}");
}

/// The program says so in its own words, since it looks at nothing but the status.
#[test]
fn a_ticket_without_its_summary_never_reaches_jira() {
    let (stage, origin) = apis::jira();
    let (returned, ran) = run(&stage, "jira.py", &json!({"description": "Nothing works"}));
    let told = returned["error"].as_str().unwrap_or_default();
    assert!(told.starts_with("Failed to create ticket: 4"), "{returned}");
    assert_eq!(ran.record()["code"], "parameter_invalid", "{ran:#?}");
    assert!(origin.asked().is_empty(), "{:?}", origin.asked());
}

fn run(stage: &Stage, method: &str, event: &Value) -> (Value, Ran) {
    let arguments = [
        installed::script("run_method.py").into_os_string(),
        installed::script(method).into_os_string(),
        event.to_string().into(),
    ];
    let ran = stage.exec(&installed::python(), &arguments);
    (serde_json::from_str(ran.output()).unwrap(), ran)
}
