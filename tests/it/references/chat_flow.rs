//! `chat-flow-apis`: calls from a chat flow, whose next question depends on the status of the reply.

use super::row::{Row, row, secret};

const LINES: usize = 98;

#[test]
fn setting_an_api_up() {
    super::prove("chat-flow-apis", LINES, &set_up_rows());
}

#[test]
fn using_what_comes_back() {
    super::prove("chat-flow-apis", LINES, &reply_rows());
}

const FIELDS: &str = "title: Order state
method: PUT
url: https://api.shop.test/orders/{{order}}
query: {lang: en, channel: \"{{channel}}\"}
headers: {X-Bot: flow-7}
body: '{\"state\": \"{{state}}\"}'
parameters:
  properties: {order: {type: string}, channel: {type: string}, state: {type: string}}
  required: [order, channel, state]";

/// An action that shows who it is in this way.
fn shown_by(connector: &str) -> String {
    format!("secrets: {{api_key: {{env: K}}}}\nauth:\n  own: {{{connector}}}")
}

fn set_up_rows() -> Vec<Row> {
    let orders = "method: GET\nurl: https://api.shop.test/orders\nauth: own";
    let url = "GET https://api.shop.test/orders";
    let change = "PUT https://api.shop.test/orders/7?lang=en&channel=chat";
    vec![
        row(22, "JSON-based RESTful APIs with the API key")
            .action_and(
                orders,
                &shown_by("type: api_key, in: header, name: X-Api-Key, value: {secret: api_key}"),
            )
            .sends(url)
            .answered(200, r#"{"a":1}"#)
            .with("x-api-key", secret("api_key"))
            .returned(r#"{"a":1}"#),
        row(22, "JWT Token")
            .action_and(orders, &shown_by("type: bearer, token: {secret: api_key}"))
            .sends(url)
            .with("authorization", format!("Bearer {}", secret("api_key"))),
        row(22, "or public APIs")
            .action("method: GET\nurl: https://api.shop.test/orders\nauth: none")
            .sends(url)
            .carrying("Authorization: Bearer mine")
            .without("authorization")
            .recorded("dropped", vec!["authorization"]),
        row(46, "Custom attributes will help capture and manage data")
            .policy(FLOW)
            .posts("POST https://api.shop.test/orders", "{}")
            .refused("variable_missing")
            .told("customer.id"),
        row(59, "This is the display name for the API")
            .action(FIELDS)
            .sends(change)
            .refused("parameter_missing")
            .recorded("action", "act"),
        row(60, "Specify the HTTP method (e.g., GET, POST, PUT)")
            .action(FIELDS)
            .posts(change, r#"{"state":"sent"}"#)
            .leaves("PUT /orders/7?lang=en&channel=chat")
            .posts(
                "POST https://api.shop.test/orders/7?lang=en&channel=chat",
                "{}",
            )
            .refused("action_undeclared"),
        row(61, "Provide the URL for the API you intend to call")
            .action(FIELDS)
            .posts(change, r#"{"state":"sent"}"#)
            .with("host", "api.shop.test")
            .posts(
                "PUT https://api.other.test/orders/7?lang=en&channel=chat",
                "{}",
            )
            .refused("host_undeclared"),
        row(62, "Add any required query parameters")
            .action(FIELDS)
            .posts(
                "PUT https://api.shop.test/orders/7?channel=chat",
                r#"{"state":"sent"}"#,
            )
            .leaves("PUT /orders/7?lang=en&channel=chat")
            .posts(
                "PUT https://api.shop.test/orders/7?lang=de&channel=chat",
                r#"{"state":"sent"}"#,
            )
            .refused("parameter_invalid"),
        row(63, "Include necessary headers for the API")
            .action(FIELDS)
            .posts(change, r#"{"state":"sent"}"#)
            .carrying("X-Bot: mine")
            .with("x-bot", "flow-7"),
        row(64, "Define the request body if needed")
            .action(FIELDS)
            .posts(change, r#"{ "state": "sent" }"#)
            .body(r#"{"state":"sent"}"#)
            .calls(r#"{"order":"7","channel":"chat","state":"sent"}"#)
            .body(r#"{"state":"sent"}"#)
            .leaves("PUT /orders/7?lang=en&channel=chat")
            .with("x-bot", "flow-7"),
        row(67, "insert custom variables within the API")
            .action(FIELDS)
            .calls(r#"{"order":"a b","channel":"a&b","state":"a\"b"}"#)
            .leaves("PUT /orders/a%20b?lang=en&channel=a%26b")
            .body(r#"{"state":"a\"b"}"#),
    ]
}

const FLOW: &str = "version: 1
actions:
  find_customer:
    description: Finds a customer by phone number.
    method: GET
    url: https://api.shop.test/customers
    parameters: {properties: {phone: {type: string}}, required: [phone]}
    outcomes:
      \"200\": ask_for_order
      \"300\": {name: ask_for_name, say: Several customers have this number.}
      \"404\": ask_for_phone
      others: {name: hand_over, say: \"The shop answered {{status}}.\"}
    outputs:
      customer.id: {path: $.customer.id}
      customer.name: {path: $.customer.name, expose: true}
  order:
    description: Orders something for the customer who was found.
    method: POST
    url: https://api.shop.test/orders
    body: '{\"customer\": \"{{.variables.customer.id}}\"}'
";

fn reply_rows() -> Vec<Row> {
    let find = "GET https://api.shop.test/customers?phone=1";
    let found = r#"{"customer":{"id":"c-1","name":"Ada"}}"#;
    let phone = r#"{"phone":"1"}"#;
    vec![
        row(72, "\"Test\" the API with actual values")
            .policy(FLOW)
            .calling("find_customer", phone)
            .answered(200, found)
            .leaves("GET /customers?phone=1")
            .returned(found),
        row(76, "map the API response variables")
            .policy(FLOW)
            .calling("find_customer", phone)
            .answered(200, found)
            .variables(r#"{"customer.name":"Ada"}"#)
            .posts("POST https://api.shop.test/orders", "{}")
            .body(r#"{"customer":"c-1"}"#),
        row(80, "replace the actual values in your API configuration")
            .policy(FLOW)
            .sends(find)
            .answered(200, found)
            .returned(found)
            .calling("order", "{}")
            .body(r#"{"customer":"c-1"}"#),
        row(
            92,
            "selecting the API you've configured earlier by its name",
        )
        .policy(FLOW)
        .calling("find_customer", phone)
        .leaves("GET /customers?phone=1"),
        row(96, "based on your API's response code (e.g., 200, 300")
            .policy(FLOW)
            .sends(find)
            .outcome("ask_for_order")
            .sends(find)
            .answered(300, "{}")
            .outcome("ask_for_name")
            .sends(find)
            .answered(404, "{}")
            .outcome("ask_for_phone")
            .calling("find_customer", phone)
            .answered(300, "{}")
            .outcome("ask_for_name")
            .says("Several customers have this number."),
        row(96, "it will trigger the response mapped to \"others.\"")
            .policy(FLOW)
            .sends(find)
            .answered(503, "{}")
            .outcome("hand_over")
            .status(503)
            .calling("find_customer", phone)
            .answered(418, "{}")
            .outcome("hand_over")
            .says("The shop answered 418."),
        row(96, "Map the next question based on")
            .policy(super::shipped("chat-flow.yaml"))
            .calling("book_delivery_slot", "{}")
            .refused("variable_missing")
            .sends("GET https://delivery.example.com/v1/slots?postcode=SW1A%201AA&country=GB")
            .answered(200, SLOTS)
            .leaves("GET /v1/slots?postcode=SW1A%201AA&country=GB&limit=1")
            .with("x-delivery-key", secret("delivery_api_key"))
            .outcome("confirm_slot")
            .calling("book_delivery_slot", r#"{"note":"Ring twice"}"#)
            .answered(201, "{}")
            .body(r#"{"slot":"s-7","note":"Ring twice"}"#)
            .outcome("say_goodbye")
            .posts(
                "POST https://delivery.example.com/v1/bookings",
                r#"{"slot":"s-8"}"#,
            )
            .refused("parameter_invalid")
            .posts("POST https://delivery.example.com/v1/bookings", "{}")
            .answered(409, "{}")
            .body(r#"{"slot":"s-7"}"#)
            .outcome("find_slot_again")
            .calling("find_delivery_slot", r#"{"postcode":"nowhere"}"#)
            .answered(500, "")
            .says("Delivery cannot be asked now (status 500). Hand over to a person."),
    ]
}

const SLOTS: &str = r#"{"slots":[{"id":"s-7","begins":"2026-12-01T09:00:00Z"}]}"#;
