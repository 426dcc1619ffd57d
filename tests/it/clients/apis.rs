//! Stand-ins for the two APIs of the shipped policies. They answer whoever shows exactly one credential, the right one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::origin;
use super::origin::{Asked, Origin, Reply};
use super::stage::Stage;

pub(super) const OPENWEATHER_KEY: &str = "0a1b2c3d4e5f-the-real-openweather-key";
pub(super) const JIRA_TOKEN: &str = "the-real-jira-token";

pub(super) const OPENWEATHER: &str = "api.openweathermap.org";
pub(super) const JIRA: &str = "mycompany.atlassian.net";

/// The shipped policies, with an origin behind the weather.
pub(super) fn weather() -> (Stage, Origin) {
    let origin = Origin::start(OPENWEATHER, tell_weather);
    let stage = Stage::with_shipped_policies()
        .reaching(OPENWEATHER, &origin)
        .secret("OPENWEATHER_API_KEY", OPENWEATHER_KEY);
    (stage, origin)
}

/// The shipped policies, with an origin behind the tickets.
pub(super) fn jira() -> (Stage, Origin) {
    let origin = Origin::start(JIRA, create_ticket);
    let stage = Stage::with_shipped_policies()
        .reaching(JIRA, &origin)
        .secret("JIRA_API_TOKEN", JIRA_TOKEN);
    (stage, origin)
}

/// The target of the one request that [`weather`] answers.
pub(super) fn weather_target() -> String {
    format!("/data/2.5/weather?q=New%20York&appid={OPENWEATHER_KEY}")
}

fn tell_weather(asked: &Asked) -> Reply {
    let is_good = asked.method == "GET"
        && asked.target == weather_target()
        && asked.header("authorization").is_empty();
    if is_good {
        let weather =
            json!({"name": "New York", "weather": [{"id": 800, "description": "clear sky"}]});
        origin::json(200, &weather)
    } else {
        origin::json(401, &json!({"cod": 401, "message": "Invalid API key."}))
    }
}

fn create_ticket(asked: &Asked) -> Reply {
    let login = STANDARD.encode(format!("bot@example.com:{JIRA_TOKEN}"));
    let is_good = asked.method == "POST"
        && asked.target == "/rest/api/3/issue"
        && asked.header("authorization") == [format!("Basic {login}")]
        && serde_json::from_slice::<Value>(&asked.body).is_ok_and(|body| body == ticket());
    if is_good {
        let link = "https://mycompany.atlassian.net/rest/api/3/issue/10004";
        origin::json(201, &json!({"id": "10004", "key": "EX-5", "self": link}))
    } else {
        origin::json(
            401,
            &json!({"errorMessages": ["You are not authenticated."]}),
        )
    }
}

fn ticket() -> Value {
    json!({"fields": {
        "project": {"key": "EX"},
        "summary": "This is to test ticket creation",
        "description": {"version": 1, "type": "doc", "content": [
            {"type": "paragraph", "content": [{"type": "text", "text": "Created using External API"}]}]},
        "issuetype": {"name": "Story"},
    }})
}
