//! The same request by every client: declared, without the key, answered.

use super::apis;
use super::client::Client;

const URL: &str = "https://api.openweathermap.org/data/2.5/weather?q=New%20York";

#[test]
fn curl_over_http1_gets_the_weather() {
    gets_the_weather(Client::CurlHttp1);
}

#[test]
fn curl_over_http2_gets_the_weather() {
    gets_the_weather(Client::CurlHttp2);
}

#[test]
fn requests_gets_the_weather() {
    gets_the_weather(Client::Requests);
}

#[test]
fn httpx_over_http1_gets_the_weather() {
    gets_the_weather(Client::HttpxHttp1);
}

#[test]
fn httpx_over_http2_gets_the_weather() {
    gets_the_weather(Client::HttpxHttp2);
}

#[test]
fn undici_gets_the_weather() {
    gets_the_weather(Client::Undici);
}

#[test]
fn axios_gets_the_weather() {
    gets_the_weather(Client::Axios);
}

#[test]
fn every_client_shows_the_token_of_its_agent() {
    get_the_weather_as_an_agent("agent-token_1.2~3", &Client::ALL);
}

/// The token stands in the proxy's URL, so such characters are percent-encoded there. axios sends them as they stand
/// in the URL (seen in 1.21.1) and gets 407: tokens of letters and digits work everywhere.
#[test]
fn clients_other_than_axios_show_a_token_of_any_characters() {
    let mut clients = Client::ALL.to_vec();
    clients.retain(|client| *client != Client::Axios);
    get_the_weather_as_an_agent("a token: with/signs@all+of%them", &clients);
}

fn get_the_weather_as_an_agent(token: &'static str, clients: &[Client]) {
    let (stage, origin) = apis::weather();
    let stage = stage.acting_as("weather-bot", token);
    for (number, client) in clients.iter().enumerate() {
        let (seen, ran) = client.get(&stage, URL);
        assert_eq!(seen.status, 200, "{client:?} {seen:?} {ran:#?}");
        assert_eq!(origin.asked().len(), number + 1, "{client:?}");
        let last = ran.records().pop().unwrap();
        assert_eq!(last["agent"], "weather-bot", "{client:?} {ran:#?}");
    }
}

/// Without any key, unlike the program in `methods`.
fn gets_the_weather(client: Client) {
    let (stage, origin) = apis::weather();
    let (seen, ran) = client.get(&stage, URL);
    assert_eq!(seen.status, 200, "{seen:?} {ran:#?}");
    assert_eq!(seen.version, client.version());
    assert_eq!(seen.refusal, "");
    assert_eq!(seen.body["weather"][0]["description"], "clear sky");
    let asked = origin.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0].target, apis::weather_target());
    let record = ran.record();
    assert_eq!(record["action"], "get_weather");
    assert_eq!(record["decision"], "allowed");
    assert_eq!(record["status"], 200);
    assert!(!ran.mentions(apis::OPENWEATHER_KEY), "{ran:#?}");
}
