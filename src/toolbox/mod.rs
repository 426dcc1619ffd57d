//! An action as a tool: what a language model is told of it, in the formats of those who serve models.
//!
//! Everything here comes from the policy: name, title, description, preconditions, parameters. URLs, headers, secrets
//! and whatever a server has said are never in it. A format that has no words for a rule of the schema is told less;
//! the call itself is checked by all of them.

mod gemini;

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value, json};

use crate::action::{Action, Hints};
use crate::request::Door;

/// The most characters that OpenAI takes as the description of a function. The others name no limit.
const OPENAI_DESCRIPTION: usize = 1024;

/// What a model is told of an action.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// The action's name.
    pub name: String,
    /// Free text for people.
    pub title: Option<String>,
    /// What it does and when to use it.
    pub description: String,
    /// What has to be called before it, in sentences.
    pub before: Vec<String>,
    /// The JSON Schema of an object, closed where the action's is. 2020-12 unless its `$schema` says otherwise.
    pub parameters: Map<String, Value>,
    /// What a call does, for clients that ask people before some of them (MCP, `ToolAnnotations`).
    pub hints: Hints,
}

impl Tool {
    /// What is told of an action. Whether somebody may use it is for [`crate::policy::usable`] to say.
    pub fn of(action: &Action) -> Self {
        Self {
            name: action.name.to_string(),
            title: action.title.clone(),
            description: action.description.clone(),
            before: action.requires.iter().map(|it| it.advice()).collect(),
            parameters: action.parameters.explicit(),
            hints: action.hints,
        }
    }

    /// The description with what has to be called before.
    pub fn whole_description(&self) -> String {
        let sentences = [self.description.trim_end()].into_iter();
        let sentences = sentences.chain(self.before.iter().map(String::as_str));
        sentences.collect::<Vec<_>>().join(" ")
    }

    /// The definition in a format: an element of what [`definitions`] gives.
    fn definition(&self, format: Format) -> Value {
        match format {
            Format::OpenAi => json!({"type": "function", "function": {
                "name": self.name,
                "description": self.described(OPENAI_DESCRIPTION),
                "parameters": without_combination(&self.parameters),
            }}),
            // Strict mode, the default there, knows no optional parameters.
            Format::OpenAiResponses => json!({
                "type": "function",
                "name": self.name,
                "description": self.described(OPENAI_DESCRIPTION),
                "parameters": without_combination(&self.parameters),
                "strict": false,
            }),
            Format::Anthropic => json!({
                "name": self.name,
                "description": self.described(usize::MAX),
                "input_schema": without_combination(&self.parameters),
            }),
            Format::Mcp => self.of_mcp(),
            Format::Gemini => self.of_gemini(),
        }
    }

    fn of_mcp(&self) -> Value {
        let mut tool = Map::new();
        tool.insert("name".into(), json!(self.name));
        if let Some(title) = &self.title {
            tool.insert("title".into(), json!(title));
        }
        tool.insert("description".into(), json!(self.whole_description()));
        tool.insert("inputSchema".into(), json!(self.parameters));
        tool.insert(
            "annotations".into(),
            json!({
                "readOnlyHint": self.hints.read_only,
                "destructiveHint": self.hints.destructive,
                "idempotentHint": self.hints.idempotent,
                "openWorldHint": true,
            }),
        );
        Value::Object(tool)
    }

    fn of_gemini(&self) -> Value {
        let mut tool = Map::new();
        tool.insert("name".into(), json!(self.name));
        tool.insert("description".into(), json!(self.described(usize::MAX)));
        if let Some(parameters) = gemini::parameters(&self.parameters) {
            tool.insert("parameters".into(), parameters);
        }
        Value::Object(tool)
    }

    /// With the title, for formats that have no place for one. Where it is too long, the title goes first, then the end
    /// of the description; what has to be called before stays.
    fn described(&self, most: usize) -> String {
        let whole = self.whole_description();
        let title = self.title.iter().map(|title| format!("{title}: {whole}"));
        let mut candidates = title.chain([whole.clone()]);
        if let Some(fits) = candidates.find(|it| it.chars().count() <= most) {
            return fits;
        }
        let before = self.before.join(" ");
        let kept = most.saturating_sub(before.chars().count() + 2);
        let start: String = self.description.chars().take(kept).collect();
        let text = format!("{}… {before}", start.trim_end());
        text.chars()
            .take(most)
            .collect::<String>()
            .trim_end()
            .to_owned()
    }
}

/// Whose format it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Chat completions of OpenAI, and of the many who took over its API.
    OpenAi,
    /// Responses of OpenAI.
    OpenAiResponses,
    /// Messages of Anthropic.
    Anthropic,
    /// `tools/list` of the Model Context Protocol.
    Mcp,
    /// `generateContent` of Google.
    Gemini,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 5] = [
        Self::OpenAi,
        Self::OpenAiResponses,
        Self::Anthropic,
        Self::Mcp,
        Self::Gemini,
    ];

    /// The word on the command line and in a query.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::OpenAiResponses => "openai-responses",
            Self::Anthropic => "anthropic",
            Self::Mcp => "mcp",
            Self::Gemini => "gemini",
        }
    }

    /// The door at which tools in this format are called: definitions leave out what is closed there.
    pub fn door(self) -> Door {
        match self {
            Self::Mcp => Door::Mcp,
            Self::OpenAi | Self::OpenAiResponses | Self::Anthropic | Self::Gemini => Door::Http,
        }
    }
}

/// A word that is no format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownFormat;

impl fmt::Display for UnknownFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<&str> = Format::ALL.iter().map(|it| it.as_str()).collect();
        write!(f, "the formats are {}", known.join(", "))
    }
}

impl std::error::Error for UnknownFormat {}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let found = Self::ALL.into_iter().find(|it| it.as_str() == text);
        found.ok_or(UnknownFormat)
    }
}

/// What goes under `tools` in a request to a model, or stands there in an answer to `tools/list`.
pub fn definitions(tools: impl Iterator<Item = Tool>, format: Format) -> Value {
    let tools: Vec<Value> = tools.map(|tool| tool.definition(format)).collect();
    match format {
        Format::Gemini => json!([{"functionDeclarations": tools}]),
        _ => json!(tools),
    }
}

/// The same schema with nothing at its top that OpenAI and Anthropic refuse there ("schema must have type 'object' and
/// not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level"; "input_schema does not support oneOf, allOf, or
/// anyOf at the top level"). What holds if `{}` does holds always.
fn without_combination(schema: &Map<String, Value>) -> Map<String, Value> {
    const REFUSED: [&str; 7] = ["$ref", "allOf", "anyOf", "oneOf", "not", "enum", "const"];
    if !REFUSED.iter().any(|it| schema.contains_key(*it)) {
        return schema.clone();
    }
    let (mut top, mut always) = (Map::new(), Map::new());
    let mut conditional = Map::new();
    for (keyword, value) in schema {
        let to = match keyword.as_str() {
            it if REFUSED.contains(&it) => &mut always,
            "if" | "then" | "else" => &mut conditional,
            _ => &mut top,
        };
        to.insert(keyword.clone(), value.clone());
    }
    if !conditional.is_empty() {
        let list = always.entry("allOf").or_insert_with(|| json!([]));
        list.as_array_mut()
            .into_iter()
            .for_each(|it| it.push(json!(conditional)));
    }
    top.insert("if".into(), json!({}));
    top.insert("then".into(), Value::Object(always));
    top
}

#[cfg(test)]
mod tests;
