//! `external-api-methods`: API methods with a description of their input and a program in Python. The two programs
//! themselves run in `clients::methods`; here are the actions that take their place.

use super::row::{Row, basic, row, secret};

const LINES: usize = 180;

#[test]
fn methods() {
    super::prove("external-api-methods", LINES, &rows());
}

/// A switched-off action.
const OFF: &str = "enabled: false
method: GET
url: https://api.openweathermap.org/data/2.5/weather";

/// The form in which the document describes input.
const INPUT: &str = "title: Get Weather
method: GET
url: https://api.openweathermap.org/data/2.5/weather
query: {q: \"{{city}}\"}
parameters:
  {
  \"parameters\": {
  \"city\": {
  \"type\": \"string\",
  \"description\": \"Name of the city to get weather information for (e.g., 'London', 'New York', 'Tokyo')\"
  }
  },
  \"required\": [
  \"city\"
  ]
  }";

const CLEAR: &str = r#"{"name":"New York","weather":[{"id":800,"description":"clear sky"}]}"#;
const CREATED: &str = r#"{"id":"10004","key":"EX-5","self":"https://mycompany.atlassian.net/rest/api/3/issue/10004"}"#;
const TICKET: &str =
    r#"{"summary":"This is to test ticket creation","description":"Created using External API"}"#;
const ISSUE: &str = concat!(
    r#"{"fields":{"project":{"key":"EX"},"summary":"This is to test ticket creation","#,
    r#""description":{"version":1,"type":"doc","content":[{"type":"paragraph","#,
    r#""content":[{"type":"text","text":"Created using External API"}]}]},"issuetype":{"name":"Story"}}}"#,
);

fn rows() -> Vec<Row> {
    let weather = super::shipped("openweather.yaml");
    let jira = super::shipped("jira.yaml");
    let ask =
        "GET https://api.openweathermap.org/data/2.5/weather?q=New%20York&appid=%3Cyour-api-key%3E";
    let city = r#"{"city":"New York"}"#;
    let issue = "POST https://mycompany.atlassian.net/rest/api/3/issue";
    vec![
        row(7, "view existing API methods, activate or deactivate")
            .action(OFF)
            .sends("GET https://api.openweathermap.org/data/2.5/weather")
            .refused("action_disabled")
            .calls("{}")
            .refused("action_disabled"),
        row(11, "enter a unique name for your method")
            .policy(weather.clone() + &weather_again())
            .mistake("get_weather"),
        row(12, "Provide a concise explanation of the method")
            .policy(weather.replace("    description: Tells the", "    # Tells the"))
            .mistake("`description`"),
        row(12, "Provide a concise explanation of the method")
            .policy(weather.clone())
            .shows(r#""title":"Get Weather""#)
            .shows("Tells the current weather in a city."),
        row(13, "Input Description (JSON Format)")
            .action(INPUT)
            .sends("GET https://api.openweathermap.org/data/2.5/weather?q=London")
            .leaves("GET /data/2.5/weather?q=London"),
        row(15, "Enter test parameters for validating your method")
            .policy(weather.clone())
            .calling("get_weather", r#"{"town":"Paris"}"#)
            .refused("parameter_undeclared")
            .told("/town"),
        row(20, "Get Weather")
            .policy(weather.clone())
            .calling("get_weather", city)
            .recorded("action", "get_weather"),
        row(25, "\"parameters\": {")
            .action(INPUT)
            .calls(city)
            .leaves("GET /data/2.5/weather?q=New%20York"),
        row(28, "Name of the city to get weather information for")
            .action(INPUT)
            .shows("Name of the city to get weather information for (e.g., 'London', 'New York', 'Tokyo')")
            .shows(r#""required":["city"]"#),
        row(31, "\"required\": [")
            .action(INPUT)
            .sends("GET https://api.openweathermap.org/data/2.5/weather")
            .refused("parameter_missing")
            .told("city")
            .calls("{}")
            .refused("parameter_missing")
            .told("city"),
        row(37, "API_KEY = \"<your-api-key>\"")
            .policy(weather.clone())
            .sends(ask)
            .recorded("replaced", vec!["query appid"])
            .hides("SECRET-openweather_key"),
        row(40, "weather?q={city}&appid={API_KEY}")
            .policy(weather.clone())
            .sends("GET https://api.openweathermap.org/data/2.5/weather?q=New%20York&appid=x")
            .leaves("GET /data/2.5/weather?q=New%20York&appid=SECRET-openweather_key")
            .calling("get_weather", city)
            .leaves("GET /data/2.5/weather?q=New%20York&appid=SECRET-openweather_key"),
        row(43, "return {\"weather\": weather_data[\"weather\"][0]")
            .policy(weather.clone())
            .calling("get_weather", city)
            .answered(200, CLEAR)
            .returned(r#"{"weather":"clear sky"}"#),
        row(51, "\"city\": \"New York\"")
            .policy(weather.clone())
            .calling("get_weather", city)
            .leaves("GET /data/2.5/weather?q=New%20York&appid=SECRET-openweather_key"),
        row(56, "\"weather\": \"clear sky\"")
            .policy(weather.clone())
            .sends("GET https://api.openweathermap.org/data/2.5/weather?q=New%20York")
            .answered(200, CLEAR)
            .returned(CLEAR)
            .outcome("found")
            .calling("get_weather", city)
            .answered(404, r#"{"cod":"404"}"#)
            .outcome("no_such_city")
            .returned(r#"{"cod":"404"}"#),
        row(60, "enable the method by toggling Connect to green")
            .policy(weather.replace("    title: Get Weather", "    enabled: false"))
            .sends("GET https://api.openweathermap.org/data/2.5/weather?q=Paris")
            .refused("action_disabled"),
        row(63, "the current weather for Roma and Wrangell")
            .policy(weather.clone())
            .calling("get_weather", r#"{"city":"Roma"}"#)
            .leaves("GET /data/2.5/weather?q=Roma&appid=SECRET-openweather_key")
            .calling("get_weather", r#"{"city":"Wrangell"}"#)
            .leaves("GET /data/2.5/weather?q=Wrangell&appid=SECRET-openweather_key"),
        row(72, "\"parameters\": {")
            .policy(jira.clone())
            .calling("create_support_ticket", TICKET)
            .answered(201, CREATED)
            .body(ISSUE),
        row(82, "\"required\": [")
            .policy(jira.clone())
            .calling("create_support_ticket", r#"{"summary":"s"}"#)
            .refused("parameter_missing")
            .told("description")
            .posts(issue, r#"{"fields":{"summary":"s"}}"#)
            .refused("parameter_missing")
            .told("description"),
        row(94, "API_TOKEN = \"abc123xyz456...\"")
            .policy(jira.clone())
            .posts(issue, ISSUE)
            .carrying("Authorization: Basic bWU6YWJjMTIzeHl6NDU2")
            .answered(201, CREATED)
            .with("authorization", basic("bot@example.com:SECRET-jira_token"))
            .hides("SECRET-jira_token"),
        row(95, "JIRA_PROJECT_KEY = \"EX\"")
            .policy(jira.clone())
            .posts(issue, ISSUE.replace("EX", "SEC"))
            .refused("parameter_invalid")
            .told("/fields/project/key"),
        row(96, "ISSUE_TYPE = \"Story\"")
            .policy(jira.clone())
            .posts(issue, ISSUE.replace("Story", "Bug"))
            .refused("parameter_invalid")
            .told("/fields/issuetype/name"),
        row(97, "https://{JIRA_DOMAIN}/rest/api/3/issue")
            .policy(jira.clone())
            .posts(issue, ISSUE)
            .leaves("POST /rest/api/3/issue")
            .with("host", "mycompany.atlassian.net"),
        row(99, "headers = {\"Accept\": \"application/json\"")
            .policy(jira.clone())
            .calling("create_support_ticket", TICKET)
            .with("accept", "application/json")
            .with("content-type", "application/json"),
        row(111, "description_adf = {")
            .policy(jira.clone())
            .posts(issue, ISSUE)
            .answered(201, CREATED)
            .body(ISSUE)
            .status(201),
        row(124, "payload = {")
            .policy(jira.clone())
            .posts(
                issue,
                ISSUE.replace(r#"{"fields":{"#, r#"{"fields":{"assignee":{"id":"1"},"#),
            )
            .refused("parameter_undeclared")
            .told("/fields/assignee"),
        row(139, "auth=HTTPBasicAuth(EMAIL, API_TOKEN)")
            .policy(jira.clone())
            .calling("create_support_ticket", TICKET)
            .with(
                "authorization",
                basic(&format!("bot@example.com:{}", secret("jira_token"))),
            ),
        row(142, "if response.status_code == 201:")
            .policy(jira.clone())
            .calling("create_support_ticket", TICKET)
            .answered(201, CREATED)
            .outcome("created")
            .returned(CREATED)
            .calling("create_support_ticket", TICKET)
            .answered(200, "{}")
            .outcome("failed"),
        row(145, "f\"Failed to create ticket: {response.status_code}\"")
            .policy(jira.clone())
            .calling("create_support_ticket", TICKET)
            .answered(401, r#"{"errorMessages":["no"]}"#)
            .outcome("failed")
            .says("Failed to create ticket: 401")
            .returned(r#"{"errorMessages":["no"]}"#)
            .posts(issue, ISSUE)
            .answered(503, "{}")
            .outcome("failed")
            .status(503),
        row(158, "\"This is to test ticket creation\"")
            .policy(jira.clone())
            .calling("create_support_ticket", TICKET)
            .answered(201, CREATED)
            .body(ISSUE)
            .status(201),
        row(165, "\"key\": \"EX-5\"")
            .policy(jira)
            .calling("create_support_ticket", TICKET)
            .answered(201, CREATED)
            .returned(CREATED)
            .variables(r#"{"ticket.key":"EX-5"}"#),
        row(175, "Max Execution Time: 5 seconds")
            .action(&format!(
                "timeout: 50ms\n{}",
                OFF.replace("enabled: false\n", "")
            ))
            .sends("GET https://api.openweathermap.org/data/2.5/weather")
            .unanswered()
            .breaks("upstream_timeout")
            .calls("{}")
            .unanswered()
            .breaks("upstream_timeout"),
    ]
}

/// Another action of a name that the policy has.
fn weather_again() -> String {
    "\n  get_weather:\n    description: The same name again.\n    method: GET\n    url: https://api.other.test/\n".into()
}

#[test]
fn every_action_of_the_two_examples_has_the_five_seconds_of_the_document() {
    for file in ["openweather.yaml", "jira.yaml"] {
        let loaded = exeat::policy::from_texts(&[(file.into(), super::shipped(file).into())]);
        let policy = loaded.policy.unwrap();
        for action in policy.environments()[0].actions.values() {
            assert_eq!(action.limits.timeout.as_secs(), 5, "{file} {}", action.name);
        }
    }
}
