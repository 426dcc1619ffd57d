//! `custom-api-actions`: actions of a form with an endpoint, an authentication, parameters and variables.

use super::row::{Row, basic, row, secret};

pub(super) const LINES: usize = 389;

#[test]
fn endpoint_and_authentication() {
    super::prove("custom-api-actions", LINES, &endpoint_rows());
}

#[test]
fn parameters_and_variables() {
    super::prove("custom-api-actions", LINES, &variable_rows());
}

#[test]
fn templates_and_types() {
    super::prove("custom-api-actions", LINES, &template_rows());
}

#[test]
fn errors_and_practices() {
    super::prove("custom-api-actions", LINES, &practice_rows());
}

#[test]
fn real_world_examples() {
    super::prove("custom-api-actions", LINES, &example_rows());
}

const ORDER: &str = "method: GET
url: https://api.company.com/orders/{{order_id}}
variables: [{name: order_id, type: string, required: true}]";

/// An action with some method, no parameters, and these further fields.
fn with(method: &str, fields: &str) -> String {
    format!("method: {method}\nurl: https://api.company.com/customers\n{fields}")
}

/// A connector of this kind.
fn connector(kind: &str) -> String {
    format!("secrets: {{api_token: {{env: T}}}}\nauth:\n  own: {{{kind}}}")
}

const CUSTOMERS: &str = "GET https://api.company.com/customers";

fn endpoint_rows() -> Vec<Row> {
    let one = "variables: [{name: id, type: string, required: true}]";
    let body = r#"{"id":"1"}"#;
    let token = secret("api_token");
    let auth = with("GET", "auth: own");
    let in_body = with("POST", &format!("auth: own\n{one}"));
    vec![
        row(9, "Set up HTTP method, URL, authentication, headers").action(ORDER)
            .calls(r#"{"order_id":"12345"}"#).leaves("GET /orders/12345"),
        row(22, "GET https://api.company.com/orders/12345").action(ORDER)
            .sends("GET https://api.company.com/orders/12345").leaves("GET /orders/12345")
            .calls(r#"{"order_id":"12345"}"#).leaves("GET /orders/12345"),
        row(23, "\"status\": \"shipped\", \"tracking\"").action(ORDER)
            .calls(r#"{"order_id":"12345"}"#).answered(200, r#"{"status":"shipped","tracking":"1Z999AA10123456789"}"#)
            .returned(r#"{"status":"shipped","tracking":"1Z999AA10123456789"}"#),
        row(78, "Name: Descriptive name (e.g., \"Lookup Order Status\")").action(&format!("title: Lookup Order Status\n{ORDER}"))
            .calls(r#"{"order_id":"1"}"#).recorded("action", "act"),
        row(79, "When to use it (10-200 characters)").policy("version: 1\nactions:\n  act:\n    description: Too short\n    method: GET\n    url: https://api.company.com/a\n")
            .warns("description"),
        row(106, "GET - Retrieve data").action(&with("GET", one)).calls(body).leaves("GET /customers?id=1").body(""),
        row(107, "POST - Create records").action(&with("POST", one)).calls(body).leaves("POST /customers").body(body),
        row(108, "PUT - Replace entire records").action(&with("PUT", one)).calls(body).leaves("PUT /customers").body(body),
        row(109, "PATCH - Update specific fields").action(&with("PATCH", one)).calls(body).leaves("PATCH /customers").body(body),
        row(110, "DELETE - Remove records").action(&with("DELETE", one)).calls(body).leaves("DELETE /customers?id=1").body(""),
        row(112, "Full API URL: https://api.company.com/customers").action(&with("GET", "auth: none")).sends(CUSTOMERS).leaves("GET /customers"),
        row(113, "https://api.company.com/orders/{{order_id}}").action(ORDER)
            .sends("GET https://api.company.com/orders/ORD%207").leaves("GET /orders/ORD%207")
            .calls(r#"{"order_id":"a?b#c"}"#).leaves("GET /orders/a%3Fb%23c")
            .calls(r#"{"order_id":"../admin"}"#).refused("parameter_invalid")
            .calls(r#"{"order_id":""}"#).refused("parameter_invalid"),
        row(114, "Auto-prepends https:// if no protocol specified").action("method: GET\nurl: api.company.com/customers")
            .sends(CUSTOMERS).leaves("GET /customers").with("host", "api.company.com").recorded("port", 443),
        row(119, "No authentication required").action(&with("GET", "auth: none"))
            .sends(CUSTOMERS).carrying("Authorization: Bearer mine").without("authorization"),
        row(121, "Internal endpoints on private network").policy(PRIVATE)
            .sends("GET https://crm.internal.company.com:8443/customers").breaks("upstream_unreachable").status(502)
            .sends("GET https://crm.internal.company.com/customers").refused("port_undeclared"),
        row(125, "Authorization: Bearer {your_token}").action_and(&auth, &connector("type: bearer, token: {secret: api_token}"))
            .sends(CUSTOMERS).with("authorization", format!("Bearer {token}")).hides("SECRET-api_token"),
        row(134, "Authorization: Basic {base64(username:password)}").action_and(&auth, &connector("type: basic, username: api, password: {secret: api_token}"))
            .sends(CUSTOMERS).with("authorization", basic("api:SECRET-api_token")).hides("SECRET-api_token"),
        row(142, "X-API-Key: {your_api_key}").action_and(&auth, &connector("type: api_key, in: header, name: X-API-Key, value: {secret: api_token}"))
            .sends(CUSTOMERS).carrying("X-Api-Key: mine").with("x-api-key", &token),
        row(147, "Parameter Name: e.g., api_key").action_and(&in_body.replace("name: id", "name: api_key"), &connector("type: api_key, in: body, name: api_key, value: {secret: api_token}"))
            .mistake("api_key"),
        row(151, "\"api_key\": \"{your_key}\"").action_and(&in_body, &connector("type: api_key, in: body, name: api_key, value: {secret: api_token}"))
            .posts("POST https://api.company.com/customers", r#"{"api_key":"mine","id":"1"}"#).body(r#"{"id":"1","api_key":"SECRET-api_token"}"#)
            .recorded("replaced", vec!["body api_key"])
            .calls(body).body(r#"{"id":"1","api_key":"SECRET-api_token"}"#).hides("SECRET-api_token"),
        row(156, "Login endpoints").action_and(&with("POST", "auth: own"), &connector("type: api_key, in: body, name: password, value: {secret: api_token}"))
            .calls("{}").body(r#"{"password":"SECRET-api_token"}"#),
        row(157, "Credentials are encrypted in the database and masked").action_and(&auth, "auth:\n  own: {type: bearer, token: sk_live_4eC39HqLyjWDarjtT1zdp7dc}")
            .mistake("secret_in_policy"),
    ]
}

const PRIVATE: &str = "version: 1
actions:
  act:
    description: Lists the customers of the CRM.
    method: GET
    url: https://crm.internal.company.com:8443/customers
network:
  allow_private: [{host: crm.internal.company.com, addresses: [10.0.5.0/24], port: 8443}]
";

/// A POST of one variable of this type.
fn of_type(kind: &str) -> String {
    with("POST", &format!("variables: [{{name: x, type: {kind}}}]"))
}

fn variable_rows() -> Vec<Row> {
    let contacted = r#"{"customer_id":"c-1","status":"contacted","timestamp":""#;
    let pages = with("GET", "query: {include: orders, limit: \"100\"}");
    let number = with(
        "GET",
        "variables: [{name: order_number, type: string, description: Customer's order number, example: ORD-12345, required: true}]",
    );
    let email = with(
        "POST",
        "variables:\n  - {name: email, type: email, default: not-provided@example.com}",
    );
    let mut rows = vec![
        row(162, "Add custom HTTP headers (key-value pairs)").action(&with("GET", "headers: {X-Source: voice, X-Team: \"7\"}"))
            .sends(CUSTOMERS).with("x-source", "voice").with("x-team", "7"),
        row(163, "Example: Content-Type: application/json").action(&with("POST", "headers: {Content-Type: application/json}\nvariables: [{name: id, type: string}]"))
            .calls(r#"{"id":"1"}"#).with("content-type", "application/json"),
        row(165, "Add URL query parameters (key-value pairs)").action(&pages)
            .sends("GET https://api.company.com/customers?limit=7").refused("parameter_invalid"),
        row(166, "include=orders&limit=100").action(&pages)
            .calls("{}").leaves("GET /customers?include=orders&limit=100")
            .sends(CUSTOMERS).leaves("GET /customers?include=orders&limit=100"),
        row(170, "Validates JSON structure while allowing variable").action(&with("POST", "variables: [{name: id, type: string, required: true}]\nbody: '{\"id\": \"{{id}}\",}'"))
            .mistake("row.yaml:"),
        row(173, "\"customer_id\": \"{{customer_id}}\"").action(CONTACTED)
            .calls(r#"{"customer_id":"c-1"}"#).body_holds(contacted)
            .calls(r#"{"customer_id":"\",\"status\":\"gone"}"#).body_holds(r#"{"customer_id":"\",\"status\":\"gone","status":"contacted","#),
        row(174, "\"status\": \"contacted\"").action(CONTACTED)
            .posts("POST https://api.company.com/customers", r#"{"customer_id":"c-1","status":"gone"}"#).refused("parameter_invalid").told("/status"),
        row(175, "\"timestamp\": \"{{current_datetime}}\"").action(CONTACTED)
            .posts("POST https://api.company.com/customers", r#"{"customer_id":"c-1","timestamp":"1999-12-31T00:00:00Z"}"#)
            .body_holds(r#""timestamp":"20"#),
    ];
    for (kind, good, bad) in [
        ("string", r#""a""#, r#"["a"]"#),
        ("integer", "7", "7.5"),
        ("float", "7.5", r#""seven""#),
        ("boolean", "true", r#""yes""#),
        ("date", r#""2026-01-31""#, r#""2026-02-31""#),
        ("email", r#""a@b.test""#, r#""a.b.test""#),
        ("phone", r#""+44 20 7946 0000""#, r#""call me""#),
    ] {
        let (good, bad) = [good, bad].map(|value| format!("{{\"x\":{value}}}")).into();
        rows.push(
            row(182, "Type: string, integer, float, boolean, date, email")
                .action(&of_type(kind))
                .posts("POST https://api.company.com/customers", good.as_str())
                .body(good)
                .posts("POST https://api.company.com/customers", bad)
                .refused("parameter_invalid")
                .told("/x"),
        );
    }
    rows.extend([
        row(181, "Variable name (e.g., order_number, customer_email)")
            .action(&with(
                "GET",
                "variables: [{name: a, type: string}, {name: a, type: string}]",
            ))
            .mistake("`a`"),
        row(180, "Each variable creates a function parameter that the LLM").action(&number)
            .shows(r#""order_number":{"type":"string","description":"Customer's order number","examples":["ORD-12345"]}"#)
            .shows(r#""required":["order_number"]"#),
        row(183, "Description: What this variable is for").action(&number).shows("Customer's order number"),
        row(182, "string, integer, float, boolean, date, email, phone")
            .action(&of_type("text"))
            .mistake("text"),
        row(184, "Example: Example value (guides the LLM)")
            .action(&with(
                "GET",
                "variables: [{name: a, type: integer, example: many}]",
            ))
            .mistake("must be an integer"),
        row(185, "Required: Toggle")
            .action(&number)
            .sends(CUSTOMERS)
            .refused("parameter_missing")
            .told("order_number")
            .calls("{}")
            .refused("parameter_missing")
            .told("order_number"),
        row(186, "Default Value: Used if not required and not provided")
            .action(&with(
                "GET",
                "variables: [{name: limit, type: integer, default: 10}]",
            ))
            .sends(CUSTOMERS)
            .leaves("GET /customers?limit=10")
            .sends("GET https://api.company.com/customers?limit=5")
            .leaves("GET /customers?limit=5"),
        row(188, "Name: order_number")
            .action(&number)
            .calls(r#"{"order_number":"ORD-12345"}"#)
            .leaves("GET /customers?order_number=ORD-12345"),
        row(205, "404: \"I don't see an order with that number\"")
            .action(BY_STATUS)
            .calls(r#"{"order_id":"1"}"#)
            .answered(404, "{}")
            .outcome("not_found")
            .says("I don't see an order with that number."),
        row(206, "500: \"I'm having trouble accessing the system right")
            .action(BY_STATUS)
            .calls(r#"{"order_id":"1"}"#)
            .answered(500, "")
            .outcome("failed")
            .says("I'm having trouble accessing the system right now."),
        row(217, "[Calls API with order_number=\"ORD-12345\"]")
            .action(&number)
            .sends("GET https://api.company.com/customers?order_number=ORD-12345")
            .leaves("GET /customers?order_number=ORD-12345"),
        row(221, "(not required, default: \"not-provided@example.com\")")
            .action(&email)
            .calls("{}")
            .body(r#"{"email":"not-provided@example.com"}"#)
            .posts("POST https://api.company.com/customers", "{}")
            .body(r#"{"email":"not-provided@example.com"}"#),
        row(223, "if customer provides it, otherwise uses default")
            .action(&email)
            .calls(r#"{"email":"a@b.test"}"#)
            .body(r#"{"email":"a@b.test"}"#),
    ]);
    rows.sort_by_key(|row| row.line);
    rows
}

const CONTACTED: &str = "method: POST
url: https://api.company.com/customers
variables: [{name: customer_id, type: string, required: true}]
body: |
  {
    \"customer_id\": \"{{customer_id}}\",
    \"status\": \"contacted\",
    \"timestamp\": \"{{current_datetime}}\"
  }";

const BY_STATUS: &str = "method: GET
url: https://api.company.com/orders/{{order_id}}
variables: [{name: order_id, type: string, required: true}]
outcomes:
  \"404\": {name: not_found, say: I don't see an order with that number.}
  \"500\": {name: failed, say: I'm having trouble accessing the system right now.}";

/// What the runtime may say in a call.
const CONTEXT: &str = "context:
  contact.first_name: {type: string}
  contact.last_name: {type: string}
  contact.email: {type: email}
  contact.phone_number: {type: phone}
  contact.id: {type: string}
  agent_number: {type: phone}
  direction: {type: string}
  medium: {type: string}";

const KNOWN: &str = r#"{"contact.first_name":"Ada","contact.last_name":"Lovelace","contact.email":"ada@b.test",
    "contact.phone_number":"+44 20 7946 0000","contact.id":"7","agent_number":"+44 20 7946 0001",
    "direction":"inbound","medium":"phone"}"#;

fn template_rows() -> Vec<Row> {
    let everywhere = "method: POST
url: https://api.company.com/orders/{{order_number}}
headers: {X-Customer: \"{{customer}}\"}
query: {lang: \"{{lang}}\"}
body: '{\"email\": \"{{customer_email}}\"}'
variables:
  - {name: order_number, type: string, required: true}
  - {name: customer, type: string, required: true}
  - {name: lang, type: string, required: true}
  - {name: customer_email, type: email, required: true}";
    let mut rows = vec![
        row(227, "in URLs, headers, query params, and request body").action(everywhere)
            .calls(r#"{"order_number":"1","customer":"c 7","lang":"en","customer_email":"a@b.test"}"#)
            .leaves("POST /orders/1?lang=en").with("x-customer", "c 7").body(r#"{"email":"a@b.test"}"#)
            .posts("POST https://api.company.com/orders/1?lang=en", r#"{"email":"a@b.test"}"#).carrying("X-Customer: c 7")
            .leaves("POST /orders/1?lang=en").with("x-customer", "c 7").body(r#"{"email":"a@b.test"}"#)
            .calls(r#"{"order_number":"1","customer":"c\r\nX-Admin: 1","lang":"en","customer_email":"a@b.test"}"#).refused("parameter_invalid"),
        row(232, "https://api.company.com/orders/{{order_number}}").action(&ORDER.replace("order_id", "order_number"))
            .sends("GET https://api.company.com/orders/ORD-12345").leaves("GET /orders/ORD-12345"),
        row(233, "{\"email\": \"{{customer_email}}\"}").action(&with("POST", "variables: [{name: customer_email, type: email, required: true}]\nbody: '{\"email\": \"{{customer_email}}\"}'"))
            .posts("POST https://api.company.com/customers", r#"{"email":"a@b.test"}"#).body(r#"{"email":"a@b.test"}"#),
    ];
    for (line, name, value) in [
        (238, "contact.first_name", "Ada"),
        (239, "contact.last_name", "Lovelace"),
        (240, "contact.email", "ada@b.test"),
        (241, "contact.phone_number", "+44 20 7946 0000"),
        (242, "contact.id", "7"),
        (244, "agent_number", "+44 20 7946 0001"),
        (247, "direction", "inbound"),
        (248, "medium", "phone"),
    ] {
        let fields = with("POST", &format!("body: '{{\"is\": \"{{{{{name}}}}}\"}}'"));
        rows.push(
            row(line, name)
                .action_and(&fields, CONTEXT)
                .knowing(KNOWN)
                .calls("{}")
                .body(format!(r#"{{"is":"{value}"}}"#))
                .posts("POST https://api.company.com/customers", "{}")
                .body(format!(r#"{{"is":"{value}"}}"#))
                .posts(
                    "POST https://api.company.com/customers",
                    r#"{"is":"somebody else"}"#,
                )
                .refused("parameter_invalid"),
        );
        rows.push(
            row(line, name)
                .action_and(&fields, CONTEXT)
                .calls("{}")
                .refused("variable_missing")
                .told(name),
        );
    }
    let named = "secrets: {bot: {env: B}}\nagents:\n  support: {title: Support desk, token: {secret: bot}, allow: [\"*\"]}";
    let says = |name: &str| with("GET", &format!("headers: {{X-Is: \"{{{{{name}}}}}\"}}"));
    rows.extend([
        row(245, "{{agent_name}}")
            .action_and(&says("agent_name"), named)
            .sends(CUSTOMERS)
            .by("support", "bot")
            .with("x-is", "Support desk"),
        row(246, "{{agent_id}}")
            .action_and(&says("agent_id"), named)
            .sends(CUSTOMERS)
            .by("support", "bot")
            .with("x-is", "support"),
        row(249, "{{current_datetime}}")
            .action(CONTACTED)
            .calls(r#"{"customer_id":"1"}"#)
            .body_holds(r#"Z"}"#)
            .body_holds(r#""timestamp":"20"#),
        row(237, "Available automatically from contact record")
            .action(&says("contact.first_name"))
            .mistake("contact"),
    ]);
    for (line, quote, kind, called, printed) in [
        (254, "integer", "integer", r#"{"x":"7"}"#, r#"{"x":7}"#),
        (255, "float", "float", r#"{"x":"7.5"}"#, r#"{"x":7.5}"#),
        (
            256,
            "boolean",
            "boolean",
            r#"{"x":"true"}"#,
            r#"{"x":true}"#,
        ),
        (257, "string", "string", r#"{"x":7}"#, r#"{"x":"7"}"#),
    ] {
        rows.push(
            row(line, quote)
                .action(&of_type(kind))
                .calls(called)
                .body(printed),
        );
    }
    rows.push(
        row(
            253,
            "Variables are automatically converted to their defined",
        )
        .action(&of_type("integer"))
        .calls(r#"{"x":"seven"}"#)
        .refused("parameter_invalid")
        .told("/x")
        .calls(r#"{"x":"007"}"#)
        .refused("parameter_invalid")
        .told("/x"),
    );
    rows.sort_by_key(|row| row.line);
    rows
}

/// Two agents, of whom one may only read.
const READERS: &str = "version: 1
secrets: {reader: {env: R}, writer: {env: W}}
actions:
  list_customers: {description: Lists all customers., method: GET, url: https://api.company.com/customers}
  add_customer: {description: Adds a customer., method: POST, url: https://api.company.com/customers}
agents:
  reader: {token: {secret: reader}, allow: [\"list_*\"]}
  writer: {token: {secret: writer}, allow: [\"*\"]}
";

fn practice_rows() -> Vec<Row> {
    let optional = with(
        "POST",
        "variables: [{name: email, type: email}]\nbody: '{\"email\": \"{{email}}\"}'",
    );
    let name = |schema: &str| {
        with(
            "POST",
            &format!("parameters: {{properties: {{name: {schema}}}}}"),
        )
    };
    let post = "POST https://api.company.com/customers";
    vec![
        row(274, "Configure action with hardcoded values first").action("method: GET\nurl: https://api.company.com/orders/12345")
            .calls("{}").leaves("GET /orders/12345")
            .calls(r#"{"order":"1"}"#).refused("parameter_undeclared"),
        row(293, "API returns 404 (not found)").action(BY_STATUS)
            .sends("GET https://api.company.com/orders/1").answered(404, r#"{"error":"none"}"#).status(404).outcome("not_found").returned(r#"{"error":"none"}"#),
        row(294, "API returns 500 (server error)").action(BY_STATUS)
            .sends("GET https://api.company.com/orders/1").answered(500, "oops").status(500).outcome("failed").returned("oops"),
        row(295, "Authentication fails (401)").action(BY_STATUS)
            .sends("GET https://api.company.com/orders/1").answered(401, "{}").status(401).outcome("failed"),
        row(296, "Missing required variables").action(ORDER).calls("{}").refused("parameter_missing").told("order_id"),
        row(315, "Use exact syntax: {{variable_name}}").action(&with("GET", "query: {a: \"{{ variable name }}\"}")).mistake("row.yaml:"),
        row(316, "Verify variable is defined in Variables tab").action(&with("GET", "query: {a: \"{{order_numer}}\"}\nvariables: [{name: order_number, type: string}]"))
            .mistake("order_numer"),
        row(318, "Set default value in Variables tab for optional").action(&optional).mistake("`email` may be missing"),
        row(319, "API responding slowly (>2 minutes)").action(&with("GET", "timeout: 50ms"))
            .sends(CUSTOMERS).unanswered().breaks("upstream_timeout").status(504)
            .calls("{}").unanswered().breaks("upstream_timeout"),
        row(323, "API returning non-JSON or malformed JSON").action(&with("GET", "auth: none"))
            .calls("{}").answered(200, "it works").returned("it works").status(200)
            .calls("{}").answered(200, "{\"a\": ").returned("{\"a\": "),
        row(330, "http://api.company.com/endpoint").action("method: GET\nurl: http://api.company.com/endpoint").mistake("allow_http"),
        row(330, "Always use HTTPS endpoints to encrypt data in transit").action("method: GET\nurl: https://api.company.com/endpoint")
            .sends("GET http://api.company.com/endpoint").leaves("GET /endpoint").recorded("upstream_addr", "203.0.114.100:443"),
        row(331, "Never hardcode credentials in URLs").action("method: GET\nurl: https://user:pass@api.company.com/endpoint").mistake("secret_in_policy"),
        row(331, "Never hardcode credentials in URLs").action(&with("GET", "query: {api_key: abcdef}")).mistake("secret_in_policy"),
        row(332, "Use authentication configuration").action(&with("GET", "headers: {Authorization: Bearer abcdef}")).mistake("secret_in_policy"),
        row(334, "Use separate keys for testing vs production").policy(super::api_call_actions::ENVIRONMENTS)
            .sends("GET https://staging.yourcompany.com/orders").by("tester", "tester").with("authorization", basic("trial:SECRET-orders_key"))
            .sends("GET https://api.yourcompany.com/orders").by("tester", "tester").refused("host_undeclared"),
        row(336, "Grant minimum necessary API permissions").policy(READERS)
            .sends(CUSTOMERS).by("reader", "reader").leaves("GET /customers")
            .posts("POST https://api.company.com/customers", "{}").by("reader", "reader").refused("action_not_allowed")
            .calling("add_customer", "{}").by("reader", "reader").refused("action_not_allowed")
            .calling("add_customer", "{}").by("writer", "writer").leaves("POST /customers"),
        row(338, "Restrict write permissions to specific endpoints").action(&with("GET", "auth: none"))
            .sends("DELETE https://api.company.com/customers").refused("action_undeclared")
            .sends("GET https://api.company.com/customers/7").refused("action_undeclared"),
        row(339, "Monitor for unusual activity").action(&with("GET", "auth: none"))
            .sends("GET https://api.company.com/customers?a=b").refused("parameter_undeclared").recorded("decision", "refused"),
        row(341, "Check for injection attempts").action(&with("POST", "variables: [{name: name, type: string, required: true}]\nbody: '{\"name\": \"{{name}}\"}'"))
            .calls(r#"{"name":"\"}, \"admin\": true, {\""}"#).body(r#"{"name":"\"}, \"admin\": true, {\""}"#),
        row(342, "Validate data types and formats").action(&name("{type: string, pattern: \"^[a-z]+$\"}"))
            .posts(post, r#"{"name":"a1"}"#).refused("parameter_invalid").told("/name"),
        row(343, "Limit string lengths").action(&name("{type: string, maxLength: 3}"))
            .posts(post, r#"{"name":"abc"}"#).body(r#"{"name":"abc"}"#)
            .posts(post, r#"{"name":"abcd"}"#).refused("parameter_invalid").told("/name"),
    ]
}

fn example_rows() -> Vec<Row> {
    let ticket =
        r#"{"ticket":{"subject":"Call with Ada","description":"It broke","priority":"high"}}"#;
    let zendesk = super::shipped("zendesk.yaml");
    let inventory = super::shipped("inventory.yaml");
    vec![
        row(350, "https://api.salesforce.com/customers/{{customer_id}}")
            .policy(super::shipped("salesforce.yaml"))
            .sends("GET https://api.salesforce.com/customers/003-12345")
            .answered(200, r#"{"id":"003-12345","name":"Ada","phone":"1"}"#)
            .leaves("GET /customers/003-12345")
            .with(
                "authorization",
                format!("Bearer {}", secret("salesforce_token")),
            )
            .returned(r#"{"id":"003-12345","name":"Ada"}"#)
            .calling("lookup_customer", r#"{"customer_id":"003-12345"}"#)
            .leaves("GET /customers/003-12345")
            .answered(404, "{}")
            .says("There is no customer with this number. Ask for it again."),
        row(352, "Variable: customer_id (string, required)")
            .policy(super::shipped("salesforce.yaml"))
            .calling("lookup_customer", "{}")
            .refused("parameter_missing")
            .told("customer_id"),
        row(360, "https://company.zendesk.com/api/v2/tickets")
            .policy(zendesk.clone())
            .knowing(KNOWN_NAME)
            .calling(
                "create_zendesk_ticket",
                r#"{"issue_description":"It broke","priority_level":"high"}"#,
            )
            .answered(201, r#"{"ticket":{"id":35436,"status":"new","url":"x"}}"#)
            .leaves("POST /api/v2/tickets")
            .body(ticket)
            .outcome("created")
            .returned(r#"{"ticket":{"id":35436,"status":"new"}}"#)
            .variables(r#"{"zendesk.ticket":35436}"#),
        row(361, "Auth: Basic (email/token)")
            .policy(zendesk.clone())
            .knowing(KNOWN_NAME)
            .posts("POST https://company.zendesk.com/api/v2/tickets", ticket)
            .with(
                "authorization",
                basic("agent@company.com/token:SECRET-zendesk_token"),
            )
            .body(ticket),
        row(362, "issue_description (string), priority_level (string)")
            .policy(zendesk.clone())
            .knowing(KNOWN_NAME)
            .calling(
                "create_zendesk_ticket",
                r#"{"issue_description":"x","priority_level":"soon"}"#,
            )
            .refused("parameter_invalid")
            .told(r#"["low","normal","high","urgent"]"#),
        row(366, "\"subject\": \"Call with {{contact.first_name}}\"")
            .policy(zendesk)
            .calling("create_zendesk_ticket", r#"{"issue_description":"x"}"#)
            .refused("variable_missing")
            .told("contact.first_name"),
        row(379, "inventory.company.com/products/{{sku}}/availability")
            .policy(inventory.clone())
            .sends("GET https://inventory.company.com/products/PROD-12345/availability")
            .answered(200, r#"{"in_stock":true}"#)
            .leaves("GET /products/PROD-12345/availability")
            .outcome("in_stock"),
        row(380, "Auth: Header (X-API-Key)")
            .policy(inventory.clone())
            .calling("check_inventory", r#"{"sku":"PROD-12345"}"#)
            .with("x-api-key", secret("inventory_key")),
        row(381, "sku (string, required, example: \"PROD-12345\")")
            .policy(inventory.clone())
            .calling("check_inventory", r#"{"sku":"12345"}"#)
            .refused("parameter_invalid")
            .told("/sku")
            .calling("check_inventory", "{}")
            .refused("parameter_missing")
            .told("sku"),
        row(387, "If out of stock: provide expected restock date")
            .policy(inventory)
            .calling("check_inventory", r#"{"sku":"PROD-12345"}"#)
            .answered(200, r#"{"in_stock":false,"restock":"2026-12-24"}"#)
            .outcome("out_of_stock")
            .says("Tell the expected restock date.")
            .returned(r#"{"in_stock":false,"restock":"2026-12-24"}"#),
    ]
}

const KNOWN_NAME: &str = r#"{"contact.first_name":"Ada"}"#;
