//! `api-call-actions`: actions with a connection, connectors, a JSON Schema of parameters, Go templates and output
//! variables.

use super::row::{Row, basic, row, secret};

const LINES: usize = 250;

#[test]
fn names_urls_and_methods() {
    super::prove("api-call-actions", LINES, &names_urls_and_methods_rows());
}

#[test]
fn headers_and_connectors() {
    super::prove("api-call-actions", LINES, &headers_and_connectors_rows());
}

#[test]
fn parameters() {
    super::prove("api-call-actions", LINES, &parameter_rows());
}

#[test]
fn templates() {
    super::prove("api-call-actions", LINES, &template_rows());
}

#[test]
fn functions_of_templates() {
    super::prove("api-call-actions", LINES, &function_rows());
}

#[test]
fn bodies_and_replies() {
    super::prove("api-call-actions", LINES, &body_and_reply_rows());
}

const ORDER: &str = "method: GET
url: https://api.yourcompany.com/orders
parameters: {properties: {order_number: {type: string}}, required: [order_number]}";

const CONNECTION: &str = "version: 1
secrets: {orders_token: {env: T}}
auth:
  orders: {type: bearer, token: {secret: orders_token}}
connections:
  company: {base_url: https://api.yourcompany.com/v2/, auth: orders, headers: {X-API-Version: 1.0}}
actions:
  get_order_status:
    description: Retrieves the current status of a customer's order. Requires an order number.
    connection: company
    method: GET
    path: /orders
    parameters: {properties: {order_number: {type: string}}, required: [order_number]}
  create_support_ticket:
    description: Creates a ticket for a customer's issue.
    connection: company
    method: POST
    path: /support/tickets
    parameters: {properties: {text: {type: string}}, required: [text]}
";

/// An action of some method, with one parameter.
fn with_method(method: &str) -> String {
    ORDER.replace("GET", method)
}

/// A policy of an action with this name and this line.
fn named(name: &str, line: &str) -> String {
    format!(
        "version: 1\nactions:\n  {name}:\n    method: GET\n    url: https://api.yourcompany.com/a\n    {line}\n"
    )
}

const SAID: &str = "description: Says something.";

fn names_urls_and_methods_rows() -> Vec<Row> {
    let url = "GET https://api.yourcompany.com/orders?order_number=ORD-12345";
    vec![
        row(5, "Names can only contain letters, numbers, underscores").policy(named("get-order_2", SAID))
            .sends("GET https://api.yourcompany.com/a").leaves("GET /a").recorded("action", "get-order_2"),
        row(5, "Names can only contain letters, numbers, underscores").policy(named("get order", SAID))
            .mistake("letters, digits"),
        row(5, "Explain what this action does and when the agent").policy(named("act", "enabled: true"))
            .mistake("`description`"),
        row(6, "The agent uses the name and description").policy(CONNECTION)
            .shows(r#""name":"get_order_status""#)
            .shows(r#""description":"Retrieves the current status of a customer's order. Requires an order number.""#),
        row(8, "Name: get_order_status").policy(CONNECTION)
            .sends("GET https://api.yourcompany.com/v2/orders?order_number=1").recorded("action", "get_order_status"),
        row(11, "Requires an order number.").policy(CONNECTION)
            .sends("GET https://api.yourcompany.com/v2/orders").refused("parameter_missing").told("order_number"),
        row(13, "reuse a shared base URL, auth connector, and headers").policy(CONNECTION)
            .sends("GET https://api.yourcompany.com/v2/orders?order_number=1")
            .leaves("GET /v2/orders?order_number=1")
            .with("authorization", format!("Bearer {}", secret("orders_token")))
            .with("x-api-version", "1.0")
            .posts("POST https://api.yourcompany.com/v2/support/tickets", r#"{"text":"x"}"#)
            .leaves("POST /v2/support/tickets")
            .with("authorization", format!("Bearer {}", secret("orders_token")))
            .with("x-api-version", "1.0"),
        row(14, "configure the full URL, auth, and headers directly")
            .action_and(&format!("{ORDER}\nauth: key\nheaders: {{X-API-Version: 1.0}}"), KEY_IN_HEADER)
            .sends(url).leaves("GET /orders?order_number=ORD-12345")
            .with("x-api-version", "1.0").with("x-api-key", secret("api_key")),
        row(18, "https://api.yourcompany.com/orders").action(ORDER).sends(url).with("host", "api.yourcompany.com"),
        row(20, "https://api.yourcompany.com/support/tickets")
            .action("method: POST\nurl: https://api.yourcompany.com/support/tickets")
            .sends("POST https://api.yourcompany.com/support/tickets").leaves("POST /support/tickets"),
        row(21, "The URL field is static and does not support").action(
                "method: GET\nurl: https://{{tenant}}.yourcompany.com/a\nparameters: {properties: {tenant: {type: string}}, required: [tenant]}")
            .mistake("host"),
        row(21, "Parameters are automatically handled based on the").action(
                "method: GET\nurl: https://api.yourcompany.com/orders/{{id}}\nparameters: {properties: {id: {type: string}, with: {type: string}}, required: [id]}")
            .sends("GET https://api.yourcompany.com/orders/7?with=items").leaves("GET /orders/7?with=items"),
        row(22, "GET and DELETE: Parameters are automatically appended").action(ORDER)
            .sends(url).leaves("GET /orders?order_number=ORD-12345").body("")
            .sends("GET https://api.yourcompany.com/orders").refused("parameter_missing"),
        row(22, "GET and DELETE: Parameters are automatically appended").action(&with_method("DELETE"))
            .sends("DELETE https://api.yourcompany.com/orders?order_number=a%20b").body("")
            .leaves("DELETE /orders?order_number=a%20b"),
        row(23, "POST, PUT, and PATCH: Parameters are sent in the").action(&with_method("POST"))
            .posts("POST https://api.yourcompany.com/orders", "{ \"order_number\": \"ORD\" }")
            .leaves("POST /orders").body(r#"{"order_number":"ORD"}"#).with("content-type", "application/json")
            .sends("POST https://api.yourcompany.com/orders?order_number=ORD").refused("parameter_undeclared"),
        row(23, "POST, PUT, and PATCH: Parameters are sent in the").action(&with_method("PUT"))
            .posts("PUT https://api.yourcompany.com/orders", r#"{"order_number":"ORD"}"#).body(r#"{"order_number":"ORD"}"#),
        row(23, "POST, PUT, and PATCH: Parameters are sent in the").action(&with_method("PATCH"))
            .posts("PATCH https://api.yourcompany.com/orders", r#"{"order_number":"ORD"}"#).body(r#"{"order_number":"ORD"}"#),
        row(24, "https://api.yourcompany.com/orders?order_number=ORD-12345").action(ORDER)
            .sends(url).leaves("GET /orders?order_number=ORD-12345").status(200),
        row(26, "Select the appropriate HTTP method").action(&with_method("TRACE")).mistake("TRACE"),
        row(29, "Retrieve information").action(ORDER)
            .sends("POST https://api.yourcompany.com/orders?order_number=1").refused("action_undeclared")
            .sends("HEAD https://api.yourcompany.com/orders?order_number=1").recorded("code", "action_undeclared"),
        row(30, "Create new records or submit data").action(&with_method("POST"))
            .sends("GET https://api.yourcompany.com/orders").refused("action_undeclared"),
        row(31, "Update existing records completely").action(&with_method("PUT"))
            .posts("PATCH https://api.yourcompany.com/orders", "{}").refused("action_undeclared"),
        row(32, "Update specific fields").action(&with_method("PATCH"))
            .posts("PUT https://api.yourcompany.com/orders", "{}").refused("action_undeclared"),
        row(33, "Remove records").action(&with_method("DELETE"))
            .sends("GET https://api.yourcompany.com/orders?order_number=1").refused("action_undeclared"),
    ]
}

const KEY_IN_HEADER: &str = "secrets: {api_key: {env: K}}
auth:
  key: {type: api_key, in: header, name: X-API-Key, value: {secret: api_key}}";

pub(super) const ENVIRONMENTS: &str = "version: 1
environments: [production, staging, development]
secrets:
  orders_key:
    production: {env: P}
    staging: {env: S}
    development: {env: D}
  bot: {env: B}
  tester: {env: T}
auth:
  orders:
    type: basic
    username: {production: live, staging: trial, development: local}
    password: {secret: orders_key}
actions:
  act:
    description: Lists the orders of the shop.
    method: GET
    url:
      production: https://api.yourcompany.com/orders
      staging: https://staging.yourcompany.com/orders
      development: https://dev.yourcompany.com/orders
    auth: orders
agents:
  bot: {token: {secret: bot}, environment: production, allow: [act]}
  tester: {token: {secret: tester}, environment: staging, allow: [act]}
";

/// A connector for the one action.
fn connector(kind: &str) -> String {
    format!("secrets: {{api_key: {{env: K}}}}\nauth:\n  own: {{{kind}}}")
}

const LISTS: &str = "method: GET\nurl: https://api.yourcompany.com/orders\nauth: own";
const LIST: &str = "GET https://api.yourcompany.com/orders";

fn headers_and_connectors_rows() -> Vec<Row> {
    let key = secret("api_key");
    vec![
        row(36, "Static value headers").action("method: GET\nurl: https://api.yourcompany.com/a\nheaders: {X-Channel: voice}")
            .sends("GET https://api.yourcompany.com/a").carrying("X-Channel: mine").with("x-channel", "voice"),
        row(37, "Content-Type: application/json").action(&format!("{}\nheaders: {{Content-Type: application/json}}", with_method("POST")))
            .posts("POST https://api.yourcompany.com/orders", r#"{"order_number":"1"}"#).with("content-type", "application/json"),
        row(37, "Content-Type: application/json").action(&format!("{}\nheaders: {{Content-Type: text/plain}}", with_method("POST")))
            .mistake("content_types"),
        row(37, "Content-Type: application/json").action(&format!("{}\ncontent_types: [application/vnd.api+json, application/json]", with_method("POST")))
            .posts("POST https://api.yourcompany.com/orders", r#"{"order_number":"1"}"#).with("content-type", "application/vnd.api+json"),
        row(37, "X-API-Version: 1.0").action("method: GET\nurl: https://api.yourcompany.com/a\nheaders: {X-API-Version: 1.0}")
            .sends("GET https://api.yourcompany.com/a").with("x-api-version", "1.0"),
        row(38, "Secret reference headers").action_and("method: GET\nurl: https://api.yourcompany.com/a\nheaders: {X-Token: {secret: api_key}}", "secrets: {api_key: {env: K}}")
            .sends("GET https://api.yourcompany.com/a").carrying("X-Token: mine").with("x-token", &key)
            .recorded("replaced", vec!["header x-token"]).hides("SECRET-api_key"),
        row(38, "Select an existing secret instead of hardcoding").action("method: GET\nurl: https://api.yourcompany.com/a\nheaders: {X-API-Key: abcdef0123}")
            .mistake("secret_in_policy"),
        row(39, "Create secrets in Manage > Secrets first").action("method: GET\nurl: https://api.yourcompany.com/a\nheaders: {X-Token: {secret: api_key}}")
            .mistake("no secret `api_key`"),
        row(39, "support per-environment values").policy(ENVIRONMENTS)
            .sends(LIST).by("bot", "bot").with("authorization", basic("live:SECRET-orders_key"))
            .sends("GET https://staging.yourcompany.com/orders").by("tester", "tester").with("authorization", basic("trial:SECRET-orders_key")),
        row(42, "resolved based on the environment of the conversation").policy(ENVIRONMENTS)
            .sends("GET https://staging.yourcompany.com/orders").by("bot", "bot").refused("host_undeclared")
            .sends(LIST).by("tester", "tester").refused("host_undeclared")
            .sends(LIST).by("tester", "bot").refused("agent_unknown"),
        row(43, "Adds an Authorization: Bearer <token> header").action_and(LISTS, &connector("type: bearer, token: {secret: api_key}"))
            .sends(LIST).carrying("Authorization: Bearer mine").with("authorization", format!("Bearer {key}"))
            .hides("SECRET-api_key"),
        row(44, "via header, query parameter, or cookie").action_and(LISTS, &connector("type: api_key, in: path, name: k, value: {secret: api_key}"))
            .mistake("path"),
        row(47, "X-API-Key: your-key").action_and(LISTS, &connector("type: api_key, in: header, name: X-API-Key, value: {secret: api_key}"))
            .sends(LIST).carrying("x-api-key: mine").with("x-api-key", &key),
        row(48, "?api_key=your-key").action_and(LISTS, &connector("type: api_key, in: query, name: api_key, value: {secret: api_key}"))
            .sends("GET https://api.yourcompany.com/orders?api_key=mine").leaves("GET /orders?api_key=SECRET-api_key")
            .sends(LIST).leaves("GET /orders?api_key=SECRET-api_key").hides("SECRET-api_key"),
        row(49, "api_key=your-key").action_and(LISTS, &connector("type: api_key, in: cookie, name: api_key, value: {secret: api_key}"))
            .sends(LIST).carrying("Cookie: api_key=mine; b=c").with("cookie", format!("api_key={key}")),
        row(50, "Automatically fetches and refreshes access tokens").action_and(LISTS, &connector(
                "type: oauth2_client_credentials, token_url: \"https://login.yourcompany.com/oauth2/token\", client_id: agents, client_secret: {secret: api_key}"))
            .sends(LIST).with("authorization", "Bearer TOKEN-1").hides("TOKEN-1")
            .sends(LIST).with("authorization", "Bearer TOKEN-1").recorded("retries", 0),
        row(51, "Authorization: Basic <credentials>").action_and(LISTS, &connector("type: basic, username: bot, password: {secret: api_key}"))
            .sends(LIST).with("authorization", basic("bot:SECRET-api_key")).hides("SECRET-api_key"),
        row(54, "Standard auth patterns (Bearer, API key, Basic, OAuth2)").action_and(LISTS, "auth:\n  own: {type: ntlm}").mistake("ntlm"),
        row(55, "Custom header names or formats").action_and(
                "method: GET\nurl: https://api.yourcompany.com/orders\nheaders: {Authorization: {secret: api_key, prefix: \"Token \"}}", "secrets: {api_key: {env: K}}")
            .sends(LIST).with("authorization", format!("Token {key}")),
        row(56, "Combine auth connector with headers").action_and(
                &format!("{LISTS}\nheaders: {{X-Tenant-Key: {{secret: tenant_key}}}}"),
                "secrets: {api_key: {env: K}, tenant_key: {env: T}}\nauth:\n  own: {type: bearer, token: {secret: api_key}}")
            .sends(LIST).with("authorization", format!("Bearer {key}")).with("x-tenant-key", secret("tenant_key")),
    ]
}

const TICKET: &str = "method: POST
url: https://api.yourcompany.com/support/tickets
parameters:
  type: object
  properties:
    customer_email: {type: string, description: The customer's email address}
    issue_description: {type: string, description: Description of the technical issue}
    priority: {type: string, enum: [low, medium, high], description: Priority level of the issue}
  required: [customer_email, issue_description]";

const CONDITIONAL: &str = "method: POST
url: https://api.yourcompany.com/support/tickets
parameters:
  type: object
  properties:
    category: {type: string, enum: [billing, technical], description: Main issue category}
    sub_category: {type: string, description: Specific issue type within the category}
  required: [category, sub_category]
  allOf:
    - if: {properties: {category: {const: billing}}}
      then: {properties: {sub_category: {enum: [invoice_dispute, payment_failed, refund_request]}}}
    - if: {properties: {category: {const: technical}}}
      then: {properties: {sub_category: {enum: [login_issue, performance, bug_report]}}}";

const OPEN_TICKET: &str = "POST https://api.yourcompany.com/support/tickets";

/// A POST of one parameter with this schema.
fn taking(name: &str, schema: &str) -> String {
    format!(
        "method: POST\nurl: https://api.yourcompany.com/support/tickets\nparameters: {{type: object, properties: {{{name}: {schema}}}}}"
    )
}

fn parameter_rows() -> Vec<Row> {
    let customer = taking(
        "customer",
        "{type: object, description: Customer information, properties: {name: {type: string}, email: {type: string}}, required: [name, email]}",
    );
    let numbers = taking(
        "order_numbers",
        "{type: array, description: List of order numbers to check, items: {type: string}}",
    );
    let priority = taking(
        "priority",
        "{type: string, enum: [low, medium, high, urgent]}",
    );
    let mut rows = vec![
        row(
            58,
            "Define the parameters your API expects using JSON Schema",
        )
        .action(&taking("a", "{type: strin}"))
        .mistake("strin"),
        row(61, "\"type\": \"object\"")
            .action(&ORDER.replace("{properties", "{type: object, properties"))
            .sends("GET https://api.yourcompany.com/orders?order_number=ORD-12345")
            .leaves("GET /orders?order_number=ORD-12345"),
        row(65, "\"description\": \"The customer's order number\"")
            .action(&ORDER.replace(
                "{type: string}",
                "{type: string, description: The customer's order number}",
            ))
            .shows(
                r#""order_number":{"type":"string","description":"The customer's order number"}"#,
            ),
        row(68, "\"required\": [\"order_number\"]")
            .action(ORDER)
            .sends("GET https://api.yourcompany.com/orders")
            .refused("parameter_missing")
            .told("order_number"),
        row(73, "\"properties\": {")
            .action(TICKET)
            .posts(
                OPEN_TICKET,
                r#"{"customer_email":"a@b.test","issue_description":"x","other":1}"#,
            )
            .refused("parameter_undeclared")
            .told("other"),
        row(84, "\"enum\": [\"low\", \"medium\", \"high\"]")
            .action(TICKET)
            .posts(
                OPEN_TICKET,
                r#"{"issue_description":"x","customer_email":"a@b.test","priority":"high"}"#,
            )
            .body(r#"{"customer_email":"a@b.test","issue_description":"x","priority":"high"}"#)
            .posts(
                OPEN_TICKET,
                r#"{"customer_email":"a@b.test","issue_description":"x","priority":"urgent"}"#,
            )
            .refused("parameter_invalid")
            .told(r#""allowed":["low","medium","high"]"#),
        row(90, "Parameters not in the required array are optional")
            .action(TICKET)
            .posts(
                OPEN_TICKET,
                r#"{"customer_email":"a@b.test","issue_description":"x"}"#,
            )
            .body(r#"{"customer_email":"a@b.test","issue_description":"x"}"#)
            .posts(OPEN_TICKET, r#"{"customer_email":"a@b.test"}"#)
            .refused("parameter_missing")
            .told("issue_description"),
        row(91, "The agent uses parameter descriptions to understand")
            .action(TICKET)
            .shows("The customer's email address")
            .shows("Description of the technical issue")
            .shows(r#""enum":["low","medium","high"],"description":"Priority level of the issue""#)
            .shows(r#""required":["customer_email","issue_description"]"#),
        row(93, "Nested objects for structured data")
            .action(&customer)
            .posts(
                OPEN_TICKET,
                r#"{"customer":{"email":"a@b.test","name":"Ada"}}"#,
            )
            .body(r#"{"customer":{"name":"Ada","email":"a@b.test"}}"#),
        row(98, "\"type\": \"object\"")
            .action(&customer)
            .posts(
                OPEN_TICKET,
                r#"{"customer":{"name":"Ada","email":"a@b.test","admin":true}}"#,
            )
            .refused("parameter_undeclared")
            .told("/customer/admin"),
        row(104, "\"required\": [\"name\", \"email\"]")
            .action(&customer)
            .posts(OPEN_TICKET, r#"{"customer":{"name":"Ada"}}"#)
            .refused("parameter_missing")
            .told("/customer/email"),
        row(108, "Arrays for lists of items")
            .action(&numbers)
            .posts(OPEN_TICKET, r#"{"order_numbers":["A","B"]}"#)
            .body(r#"{"order_numbers":["A","B"]}"#)
            .posts(OPEN_TICKET, "{}")
            .body("{}"),
        row(113, "\"type\": \"array\"")
            .action(&numbers.replace("POST", "GET"))
            .sends(
                "GET https://api.yourcompany.com/support/tickets?order_numbers=A&order_numbers=B",
            )
            .leaves("GET /support/tickets?order_numbers=A&order_numbers=B"),
        row(115, "\"items\": { \"type\": \"string\" }")
            .action(&numbers)
            .posts(OPEN_TICKET, r#"{"order_numbers":["A",7]}"#)
            .refused("parameter_invalid")
            .told("/order_numbers/1"),
        row(119, "Enumerations for fixed sets of values")
            .action(&priority)
            .posts(OPEN_TICKET, r#"{"priority":"urgent"}"#)
            .body(r#"{"priority":"urgent"}"#),
        row(125, "\"enum\": [\"low\", \"medium\", \"high\", \"urgent\"]")
            .action(&priority)
            .posts(OPEN_TICKET, r#"{"priority":"URGENT"}"#)
            .refused("parameter_invalid")
            .told(r#"["low","medium","high","urgent"]"#),
        row(131, "use if/then with allOf")
            .action(&CONDITIONAL.replace(
                "then: {properties: {sub_category: {enum: [login",
                "than: {properties: {sub_category: {enum: [login",
            ))
            .mistake("did you mean \"then\"?"),
    ];
    for (line, quote, category, subs) in [
        (
            153,
            "\"invoice_dispute\", \"payment_failed\", \"refund_request\"",
            "billing",
            ["invoice_dispute", "payment_failed", "refund_request"],
        ),
        (
            163,
            "\"login_issue\", \"performance\", \"bug_report\"",
            "technical",
            ["login_issue", "performance", "bug_report"],
        ),
    ] {
        let bodies =
            subs.map(|sub| format!(r#"{{"category":"{category}","sub_category":"{sub}"}}"#));
        let good = bodies
            .into_iter()
            .fold(row(line, quote).action(CONDITIONAL), |row, body| {
                row.posts(OPEN_TICKET, body.as_str()).body(body)
            });
        rows.push(good);
    }
    rows.push(
        row(169, "the agent will only accept sub_category values of")
            .action(CONDITIONAL)
            .posts(
                OPEN_TICKET,
                r#"{"category":"billing","sub_category":"login_issue"}"#,
            )
            .refused("parameter_invalid")
            .told(r#""pointer":"/sub_category""#)
            .told(r#"["invoice_dispute","payment_failed","refund_request"]"#)
            .posts(
                OPEN_TICKET,
                r#"{"category":"technical","sub_category":"refund_request"}"#,
            )
            .refused("parameter_invalid")
            .told(r#"["login_issue","performance","bug_report"]"#)
            .posts(OPEN_TICKET, r#"{"category":"sales","sub_category":"x"}"#)
            .refused("parameter_invalid")
            .told(r#"["billing","technical"]"#),
    );
    rows
}

const STATICS: &str = "static_variables: {REGION: eu-1}";

/// A POST with this template of the one parameter `name`, which is required.
fn small(body: &str) -> String {
    optional(body).replace("body:", "  required: [name]\nbody:")
}

/// As [`small`], with a parameter that may be missing.
fn optional(body: &str) -> String {
    with_schema("name: {type: string, minLength: 1}", body)
}

/// A POST with this template, and with these properties.
fn with_schema(properties: &str, body: &str) -> String {
    let body: String = body.lines().map(|it| format!("  {it}\n")).collect();
    format!(
        "method: POST\nurl: https://api.yourcompany.com/support/tickets\n\
         parameters:\n  properties: {{{properties}}}\nbody: |\n{body}"
    )
}

fn template_rows() -> Vec<Row> {
    let ada = r#"{"n":"Ada"}"#;
    let name = r#"{"name":"Ada"}"#;
    vec![
        row(171, "For POST, PUT, and PATCH requests, you can optionally").action("method: GET\nurl: https://api.yourcompany.com/a\nbody: '{}'").mistake("GET"),
        row(171, "If no template is provided, parameters are sent as a").action(TICKET)
            .posts(OPEN_TICKET, r#"{"issue_description":"x","customer_email":"a@b.test"}"#)
            .body(r#"{"customer_email":"a@b.test","issue_description":"x"}"#),
        row(173, "Templates use a subset of Go template syntax").action(&small(r#"{"n": "{{.parameters.name"}"#)).mistake("row.yaml:12:32"),
        row(175, "Parameters from the parameter schema").action(&small(r#"{"n": "{{.parameters.name}}"}"#))
            .posts(OPEN_TICKET, ada).body(ada).calls(name).body(ada),
        row(175, "{{.parameters.parameter_name}}").action(&small(r#"{"n": "{{.parameters.nam}}"}"#)).mistake("no parameter `nam`"),
        row(175, "{{.variables.variable_name}}").policy(CHAIN)
            .sends("GET https://api.yourcompany.com/customers?phone=1").answered(200, r#"{"data":{"id":"cust_123"}}"#)
            .status(200)
            .posts("POST https://api.yourcompany.com/notes", "{}").body(r#"{"customer":"cust_123"}"#),
        row(175, "Variables configured in Studio, filled in at").action_and(&small(r#"{"n": "{{.parameters.name}}", "region": "{{.static_variables.REGION}}"}"#), STATICS)
            .posts(OPEN_TICKET, ada).body(r#"{"n":"Ada","region":"eu-1"}"#)
            .posts(OPEN_TICKET, r#"{"n":"Ada","region":"us-1"}"#).refused("parameter_invalid"),
        row(175, "conversation start based on the environment").policy(STATICS_BY_ENVIRONMENT)
            .posts(OPEN_TICKET, "{}").by("bot", "bot").body(r#"{"project":"EX"}"#)
            .posts(OPEN_TICKET, "{}").by("tester", "tester").body(r#"{"project":"EXS"}"#),
        row(175, "{{index .parameters \"key\"}}").action(&small(r#"{"n": "{{index .parameters "name"}}"}"#))
            .posts(OPEN_TICKET, ada).body(ada).calls(name).body(ada),
        row(175, "Map or slice values by key or index").action(&with_schema("tags: {type: array, items: {type: string}}", r#"{"first": "{{with index .parameters.tags 0}}{{.}}{{else}}none{{end}}"}"#)).warns("proxy door")
            .calls(r#"{"tags":["a","b"]}"#).body(r#"{"first":"a"}"#),
        row(177, "{{if .parameters.name}} ... {{end}}").action(&optional(r#"{"a": 1{{if .parameters.name}}, "n": "{{.parameters.name}}"{{end}}}"#))
            .posts(OPEN_TICKET, ada).body(r#"{"a":1,"n":"Ada"}"#).calls(name).body(r#"{"a":1,"n":"Ada"}"#)
            .posts(OPEN_TICKET, "{}").body(r#"{"a":1}"#).calls("{}").body(r#"{"a":1}"#),
        row(177, "{{if .parameters.name}} ... {{else}} ... {{end}}").action(&optional(r#"{"n": "{{if .parameters.name}}{{.parameters.name}}{{else}}nobody{{end}}"}"#)).warns("proxy door")
            .calls(name).body(ada).calls("{}").body(r#"{"n":"nobody"}"#)
            .posts(OPEN_TICKET, ada).refused("door_closed"),
        row(177, "{{with .parameters.name}} ... {{end}}").action(&optional(r#"{"a": 1{{with .parameters.name}}, "n": "{{.}}"{{end}}}"#))
            .posts(OPEN_TICKET, ada).body(r#"{"a":1,"n":"Ada"}"#).calls(name).body(r#"{"a":1,"n":"Ada"}"#)
            .calls("{}").body(r#"{"a":1}"#),
        row(177, "Scope rebinding (also supports{{else}})").action(&optional(r#"{"n": {{with .parameters.name}}"{{.}} of {{$.parameters.name}}"{{else}}null{{end}}}"#)).warns("proxy door")
            .calls(name).body(r#"{"n":"Ada of Ada"}"#).calls("{}").body(r#"{"n":null}"#),
        row(177, "{{$var := .parameters.name}}").action(&small(r#"{{$var := .parameters.name}}{"n": "{{$var}}"}"#))
            .calls(name).body(ada),
    ]
}

/// What one call learns, the next one uses.
const CHAIN: &str = "version: 1
actions:
  find_customer:
    description: Finds a customer by phone number.
    method: GET
    url: https://api.yourcompany.com/customers
    parameters: {properties: {phone: {type: string}}, required: [phone]}
    outputs: {customer_id: {path: $.data.id}}
  add_note:
    description: Adds a note about the customer who was found.
    method: POST
    url: https://api.yourcompany.com/notes
    body: '{\"customer\": \"{{.variables.customer_id}}\"}'
";

const STATICS_BY_ENVIRONMENT: &str = "version: 1
environments: [production, staging]
secrets: {bot: {env: B}, tester: {env: T}}
static_variables: {PROJECT: {production: EX, staging: EXS}}
actions:
  act:
    description: Opens a ticket in the project.
    method: POST
    url: https://api.yourcompany.com/support/tickets
    body: '{\"project\": \"{{.static_variables.PROJECT}}\"}'
agents:
  bot: {token: {secret: bot}, environment: production, allow: [act]}
  tester: {token: {secret: tester}, environment: staging, allow: [act]}
";

/// An action whose body says whether a condition holds.
fn asking(condition: &str) -> String {
    let body = format!(r#"{{"is": {{{{if {condition}}}}}true{{{{else}}}}false{{{{end}}}}}}"#);
    let properties = [
        ("status", "string"),
        ("count", "integer"),
        ("other", "string"),
    ];
    let asked = properties
        .iter()
        .filter(|(name, _)| condition.contains(name));
    let asked: Vec<String> = asked
        .map(|(name, kind)| format!("{name}: {{type: {kind}}}"))
        .collect();
    with_schema(&asked.join(", "), &body)
}

fn function_rows() -> Vec<Row> {
    let asked = |line, quote, condition: &str, yes: &'static str, no: &'static str| {
        row(line, quote)
            .action(&asking(condition))
            .warns("proxy door")
            .calls(yes)
            .body(r#"{"is":true}"#)
            .calls(no)
            .body(r#"{"is":false}"#)
    };
    let mut rows = Vec::new();
    for (line, quote, condition, yes, no) in [
        (
            181,
            "{{if eq .parameters.status \"active\"}}",
            "eq .parameters.status \"active\"",
            r#"{"status":"active"}"#,
            "{}",
        ),
        (
            182,
            "Not equal",
            "ne .parameters.status \"active\"",
            r#"{"status":"gone"}"#,
            r#"{"status":"active"}"#,
        ),
        (
            183,
            "Less than",
            "lt .parameters.count 10",
            r#"{"count":9}"#,
            r#"{"count":10}"#,
        ),
        (
            184,
            "Less than or equal",
            "le .parameters.count 10",
            r#"{"count":10}"#,
            r#"{"count":11}"#,
        ),
        (
            185,
            "Greater than",
            "gt .parameters.count 10",
            r#"{"count":11}"#,
            r#"{"count":10}"#,
        ),
        (
            186,
            "Greater than or equal",
            "ge .parameters.count 10",
            r#"{"count":10}"#,
            r#"{"count":9}"#,
        ),
        (
            187,
            "Logical AND",
            "and .parameters.status .parameters.other",
            r#"{"status":"a","other":"b"}"#,
            r#"{"status":"a"}"#,
        ),
        (
            188,
            "Logical OR",
            "or .parameters.status .parameters.other",
            r#"{"other":"b"}"#,
            "{}",
        ),
        (
            189,
            "Logical NOT",
            "not .parameters.status",
            "{}",
            r#"{"status":"a"}"#,
        ),
        (
            190,
            "Access map/slice values ({{index .parameters \"key\"}})",
            "index .parameters \"status\"",
            r#"{"status":"a"}"#,
            "{}",
        ),
    ] {
        rows.push(asked(line, quote, condition, yes, no));
    }
    for (quote, body, says) in [
        (
            "{{range}}(loops)",
            r#"{"n": [{{range .parameters.name}}1{{end}}]}"#,
            "`range` is not part of the template language",
        ),
        (
            "{{template}}(nested template invocation)",
            r#"{"n": {{template "x"}}}"#,
            "`template` is not part of the template language",
        ),
        (
            "{{define}}(template definitions)",
            r#"{{define "x"}}1{{end}}{"n": 1}"#,
            "`define` is not part of the template language",
        ),
        (
            "{{block}}(block definitions)",
            r#"{"n": {{block "x" .}}1{{end}}}"#,
            "`block` is not part of the template language",
        ),
        (
            "Custom function calls beyond the allowed list",
            r#"{"n": "{{printf .parameters.name}}"}"#,
            "`printf` is not a function of the template language",
        ),
        (
            "Custom function calls beyond the allowed list",
            r#"{"n": {{len .parameters.name}}}"#,
            "`len` is not a function of the template language",
        ),
        (
            "Custom function calls beyond the allowed list",
            r#"{"n": "{{.parameters.name | html}}"}"#,
            "pipes are not part of the template language",
        ),
    ] {
        rows.push(row(192, quote).action(&small(body)).mistake(says));
    }
    rows
}

/// The three templates as the document writes them, line for line.
const NESTED: &str = r#"{
"order": {
"id": "{{.parameters.order_number}}",
"customerEmail": "{{.parameters.email}}"
},
"metadata": {
"conversationId": "{{.variables.stellar.conversation_id}}",
"source": "voice_agent"
}
}"#;
const CONDITIONAL_FIELDS: &str = r#"{
"name": "{{.parameters.name}}",
{{- if .parameters.email}}
"email": "{{.parameters.email}}",
{{- end}}
"source": "voice_agent"
}"#;
const FALLBACK: &str = r#"{{with index .parameters "preferred_name"}}{{.}}{{else}}Customer{{end}}"#;

fn body_and_reply_rows() -> Vec<Row> {
    let order = "order_number: {type: string}, email: {type: string}";
    let nested =
        with_schema(order, NESTED).replace("body:", "  required: [order_number, email]\nbody:");
    let fields = |email: &str| {
        with_schema(
            &format!("name: {{type: string}}, email: {{{email}}}"),
            CONDITIONAL_FIELDS,
        )
        .replace("body:", "  required: [name]\nbody:")
    };
    let fallback = with_schema(
        "preferred_name: {type: string}",
        &format!("{{\"name\": \"{FALLBACK}\"}}"),
    );
    let all = r#"{"name":"Ada","email":"a@b.test","source":"voice_agent"}"#;
    let some = r#"{"name":"Ada","source":"voice_agent"}"#;
    let flat = with_schema(order, "").replace("\nbody: |\n", "");
    vec![
        row(201, "{{.variables.stellar.conversation_id}}").action(&nested)
            .posts(OPEN_TICKET, r#"{"order":{"id":"ORD-12345","customerEmail":"a@b.test"},"metadata":{"source":"voice_agent"}}"#)
            .body(r#"{"order":{"id":"ORD-12345","customerEmail":"a@b.test"},"metadata":{"conversationId":"<session>","source":"voice_agent"}}"#)
            .calls(r#"{"order_number":"ORD-12345","email":"a@b.test"}"#)
            .body(r#"{"order":{"id":"ORD-12345","customerEmail":"a@b.test"},"metadata":{"conversationId":"<session>","source":"voice_agent"}}"#),
        row(202, "\"source\": \"voice_agent\"").action(&nested)
            .posts(OPEN_TICKET, r#"{"order":{"id":"1","customerEmail":"a@b.test"},"metadata":{"source":"chat"}}"#)
            .refused("parameter_invalid").told("/metadata/source"),
        row(206, "Include fields only when a parameter has a value").action(&fields("type: string, minLength: 1"))
            .posts(OPEN_TICKET, all).body(all).posts(OPEN_TICKET, some).body(some)
            .calls(r#"{"name":"Ada","email":"a@b.test"}"#).body(all).calls(r#"{"name":"Ada"}"#).body(some),
        row(209, "{{- if .parameters.email}}").action(&fields("type: string")).warns("proxy door")
            .calls(r#"{"name":"Ada","email":"a@b.test"}"#).body(all).calls(r#"{"name":"Ada","email":""}"#).body(some)
            .posts(OPEN_TICKET, all).refused("door_closed"),
        row(216, "{{with index .parameters \"preferred_name\"}}{{.}}").action(&fallback).warns("proxy door")
            .calls(r#"{"preferred_name":"Ada"}"#).body(r#"{"name":"Ada"}"#)
            .calls("{}").body(r#"{"name":"Customer"}"#),
        row(216, "{{else}}Customer{{end}}").action(&format!("{fallback}\naccept_body: {{type: object, properties: {{name: {{type: string}}}}}}"))
            .posts(OPEN_TICKET, r#"{"name":"Ada"}"#).body(r#"{"name":"Ada"}"#)
            .posts(OPEN_TICKET, r#"{"name":"Ada","admin":true}"#).refused("parameter_undeclared")
            .calls("{}").body(r#"{"name":"Customer"}"#),
        row(217, "Without a template (default)").action(&flat)
            .posts(OPEN_TICKET, r#"{"email":"customer@example.com", "order_number":"ORD-12345"}"#)
            .body(r#"{"order_number":"ORD-12345","email":"customer@example.com"}"#)
            .calls(r#"{"email":"customer@example.com","order_number":"ORD-12345"}"#)
            .body(r#"{"order_number":"ORD-12345","email":"customer@example.com"}"#),
        row(222, "your API expects a different field naming convention").action(&small(r#"{"fullName": "{{name}}", "channel": "voice"}"#))
            .posts(OPEN_TICKET, r#"{"fullName":"Ada"}"#).body(r#"{"fullName":"Ada","channel":"voice"}"#)
            .posts(OPEN_TICKET, r#"{"name":"Ada"}"#).refused("parameter_undeclared"),
        row(223, "If a referenced parameter or variable is missing").action(&small(r#"{"n": "{{.parameters.name}}"}"#))
            .posts(OPEN_TICKET, "{}").refused("parameter_missing").told("name")
            .calls("{}").refused("parameter_missing").told("name"),
        row(223, "If a referenced parameter or variable is missing").policy(CHAIN)
            .posts("POST https://api.yourcompany.com/notes", "{}").refused("variable_missing").told("customer_id")
            .calling("add_note", "{}").refused("variable_missing").told("customer_id"),
        row(223, "the action returns an error to the agent rather than").action(&optional(r#"{"n": "{{.parameters.name}}"}"#))
            .mistake("`name` may be missing"),
        row(225, "The agent sees the full API response").action(ORDER)
            .sends("GET https://api.yourcompany.com/orders?order_number=12345").answered(200, SHIPPED).returned(SHIPPED)
            .calls(r#"{"order_number":"12345"}"#).answered(200, SHIPPED).returned(SHIPPED),
        row(234, "extract specific values from API responses").policy(CHAIN)
            .sends("GET https://api.yourcompany.com/customers?phone=1").answered(200, CUSTOMER).returned(CUSTOMER)
            .posts("POST https://api.yourcompany.com/notes", "{}").body(r#"{"customer":"cust_123"}"#)
            .calling("add_note", "{}").body(r#"{"customer":"cust_123"}"#),
        row(237, "Use lowercase letters, numbers, underscores, and dots").action(&format!("{ORDER}\noutputs: {{Customer: {{path: $.id}}}}"))
            .mistake("small letters"),
        row(237, "JSONPath expression: A JSONPath expression that").action(&format!("{ORDER}\noutputs: {{account.status: {{path: data.id}}}}"))
            .mistake("JSONPath"),
        row(238, "Sensitive: When enabled, the value is redacted").policy(CHAIN.replace("$.data.id", "$.data.id, sensitive: true")).warns("closes the proxy door")
            .sends("GET https://api.yourcompany.com/customers?phone=1").answered(200, CUSTOMER)
            .returned(r#"{"data":{"id":"<customer_id>","email":"user@example.com"}}"#)
            .calling("add_note", "{}").body(r#"{"customer":"cust_123"}"#).hides("cust_123"),
        row(239, "Expose to AI: When enabled, the extracted value is").policy(CHAIN.replace("$.data.id", "$.data.id, expose: true"))
            .calling("find_customer", r#"{"phone":"1"}"#).answered(200, CUSTOMER).variables(r#"{"customer_id":"cust_123"}"#)
            .calling("add_note", "{}").body(r#"{"customer":"cust_123"}"#),
        row(244, "$.data.id").policy(CHAIN)
            .calling("find_customer", r#"{"phone":"1"}"#).answered(200, CUSTOMER).returned(CUSTOMER)
            .calling("add_note", "{}").body(r#"{"customer":"cust_123"}"#),
        row(245, "$.data.email").policy(CHAIN.replace("$.data.id", "$.data.email"))
            .calling("find_customer", r#"{"phone":"1"}"#).answered(200, CUSTOMER).returned(CUSTOMER)
            .calling("add_note", "{}").body(r#"{"customer":"user@example.com"}"#),
        row(246, "the value will still be available for action parameters").policy(CHAIN)
            .calling("find_customer", r#"{"phone":"1"}"#).answered(200, CUSTOMER).variables("{}")
            .calling("add_note", "{}").body(r#"{"customer":"cust_123"}"#).variables("{}"),
        row(249, "Use output variables to chain actions together").policy(CHAIN)
            .sends("GET https://api.yourcompany.com/customers?phone=1").answered(200, CUSTOMER).status(200)
            .sends("GET https://api.yourcompany.com/customers?phone=2").answered(200, "{}").status(200)
            .posts("POST https://api.yourcompany.com/notes", "{}").refused("variable_missing"),
    ]
}

const SHIPPED: &str = r#"{"order_number":"12345","status":"shipped","tracking_number":"TRACK123","estimated_delivery":"2024-03-15"}"#;
const CUSTOMER: &str = r#"{"data":{"id":"cust_123","email":"user@example.com"}}"#;
