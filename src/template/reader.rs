//! From the tokens of one action to an expression. Every name is resolved here, against what is declared.

use std::ops::Range;

use serde_json::Value;

use crate::problem::nearest;
use crate::template::lexer::{Token, TokenKind};
use crate::template::problem::TemplateProblem;
use crate::template::scope::{Kind, Known, Scope};
use crate::template::sight::{Mentions, Operand, Sight};
use crate::template::tree::{Expression, Function, Path, Source, Step};

/// Parentheses in parentheses, and steps into a value.
const MAX_DEPTH: usize = 32;

/// Reads one action.
pub(super) struct Reader<'x> {
    pub(super) tokens: &'x [Token],
    pub(super) whole: &'x Range<usize>,
    pub(super) scope: &'x Scope<'x>,
    pub(super) sight: &'x Sight,
    pub(super) mentions: &'x mut Mentions,
}

impl Reader<'_> {
    pub(super) fn read(&mut self) -> Result<Operand, TemplateProblem> {
        let operand = self.command(0)?;
        match self.tokens.first() {
            None => Ok(operand),
            Some(token) => Err(unexpected(token)),
        }
    }

    /// A function with its arguments, or a single operand.
    fn command(&mut self, depth: usize) -> Result<Operand, TemplateProblem> {
        if let Some(Token {
            kind: TokenKind::Word(names),
            at,
        }) = self.tokens.first()
            && let [name] = names.as_slice()
            && let Some((function, takes)) = Function::named(name)
        {
            self.tokens = &self.tokens[1..];
            return self.call((function, name, at), takes, depth);
        }
        self.refuse_call()?;
        self.operand(depth)
    }

    /// Names with arguments are functions of somebody else.
    fn refuse_call(&self) -> Result<(), TemplateProblem> {
        let [first, second, ..] = self.tokens else {
            return Ok(());
        };
        let TokenKind::Word(names) = &first.kind else {
            return Ok(());
        };
        let is_argument = !matches!(
            second.kind,
            TokenKind::Close | TokenKind::Refused(_) | TokenKind::Declare
        );
        if !is_argument || self.scope.parameters.declared(&[&names[0]]).is_some() {
            return Ok(());
        }
        let message = format!(
            "`{}` is not a function of the template language",
            names.join(".")
        );
        let remedy = "there are `eq ne lt le gt ge and or not index`";
        Err(TemplateProblem::new(&first.at, message, remedy))
    }

    fn call(
        &mut self,
        (function, name, at): (Function, &str, &Range<usize>),
        takes: std::ops::RangeInclusive<usize>,
        depth: usize,
    ) -> Result<Operand, TemplateProblem> {
        let mut operands = Vec::new();
        while let Some(token) = self.tokens.first() {
            if matches!(token.kind, TokenKind::Close) {
                break;
            }
            operands.push(self.operand(depth)?);
        }
        if !takes.contains(&operands.len()) {
            let message = format!("`{name}` with {} arguments", operands.len());
            let remedy = match takes.end() {
                2 => "give it two",
                1 => "give it one",
                _ if *takes.start() == 2 => "give it two or more",
                _ => "give it one or more",
            };
            return Err(TemplateProblem::new(at, message, remedy));
        }
        if function == Function::Index {
            return self.index(operands, at);
        }
        let operands: Option<Vec<Expression>> = operands.into_iter().map(value_of).collect();
        match operands {
            Some(operands) => Ok(Operand::Expression(Expression::Call(function, operands))),
            None => Err(group(at)),
        }
    }

    fn operand(&mut self, depth: usize) -> Result<Operand, TemplateProblem> {
        let Some((token, rest)) = self.tokens.split_first() else {
            let remedy = "write what it should print or compare";
            return Err(TemplateProblem::new(
                self.whole,
                "a value is missing",
                remedy,
            ));
        };
        self.tokens = rest;
        let constant = |value: Value| Ok(Operand::Expression(Expression::Constant(value)));
        match &token.kind {
            TokenKind::Text(text) => constant(Value::String(text.clone())),
            TokenKind::Number(number) => constant(Value::Number(number.clone())),
            TokenKind::Fields(fields) => {
                let dot = self.sight.dot();
                self.fields(dot, fields, &token.at)
            }
            TokenKind::Variable(name, fields) => {
                let value = self.variable(name, &token.at)?;
                self.fields(value, fields, &token.at)
            }
            TokenKind::Word(names) => self.word(names, &token.at),
            TokenKind::Open => self.parenthesis(token, depth),
            _ => Err(unexpected(token)),
        }
    }

    fn parenthesis(&mut self, open: &Token, depth: usize) -> Result<Operand, TemplateProblem> {
        if depth >= MAX_DEPTH {
            let message = format!("parentheses nest deeper than {MAX_DEPTH}");
            let remedy = "name parts of it: `{{$part := …}}`";
            return Err(TemplateProblem::new(&open.at, message, remedy));
        }
        let inner = self.command(depth + 1)?;
        let close = match self.tokens.split_first() {
            Some((token, rest)) if token.kind == TokenKind::Close => {
                self.tokens = rest;
                token
            }
            Some((token, _)) => return Err(unexpected(token)),
            None => {
                let remedy = "close it with `)`";
                let message = "a parenthesis is not closed";
                return Err(TemplateProblem::new(&open.at, message, remedy));
            }
        };
        // `(index .parameters "a").b`: only without a space, as in Go.
        if let Some((token, rest)) = self.tokens.split_first()
            && let TokenKind::Fields(fields) = &token.kind
            && token.at.start == close.at.end
        {
            self.tokens = rest;
            return self.fields(inner, fields, &token.at);
        }
        Ok(inner)
    }

    fn variable(&self, name: &str, at: &Range<usize>) -> Result<Operand, TemplateProblem> {
        if name.is_empty() {
            return Ok(Operand::Root);
        }
        match self.sight.variable(name) {
            Some(value) => Ok(value),
            None => {
                let message = format!("no variable `${name}` can be seen here");
                let remedy = "declare it before, in this block or around it: `{{$name := value}}`";
                Err(TemplateProblem::new(at, message, remedy))
            }
        }
    }

    fn fields(
        &mut self,
        mut operand: Operand,
        fields: &[String],
        at: &Range<usize>,
    ) -> Result<Operand, TemplateProblem> {
        for field in fields {
            operand = self.step(operand, Step::Key(field.clone()), at)?;
        }
        Ok(operand)
    }

    fn index(
        &mut self,
        operands: Vec<Operand>,
        at: &Range<usize>,
    ) -> Result<Operand, TemplateProblem> {
        let mut operands = operands.into_iter();
        let mut value = operands.next().unwrap_or(Operand::Unknown);
        for key in operands {
            let step = match &key {
                Operand::Expression(Expression::Constant(Value::String(key))) => {
                    Some(Step::Key(key.clone()))
                }
                Operand::Expression(Expression::Constant(Value::Number(number))) => {
                    number.as_u64().map(Step::At)
                }
                _ => None,
            };
            value = match (value, step) {
                (value, Some(step)) => self.step(value, step, at)?,
                (Operand::Expression(value), None) => {
                    let key = value_of(key).ok_or_else(|| group(at))?;
                    Operand::Expression(Expression::Call(Function::Index, vec![value, key]))
                }
                (Operand::Unknown, None) => Operand::Unknown,
                (_, None) => {
                    let remedy = "write the name as a string: `index .parameters \"x\"`";
                    let message = "which name it is must be known when the policy is loaded";
                    return Err(TemplateProblem::new(at, message, remedy));
                }
            };
        }
        Ok(value)
    }

    /// What is inside a value under a key.
    fn step(
        &mut self,
        operand: Operand,
        step: Step,
        at: &Range<usize>,
    ) -> Result<Operand, TemplateProblem> {
        let key = match (&operand, &step) {
            (Operand::Unknown, _) => return Ok(Operand::Unknown),
            (Operand::Expression(_), _) => "",
            (_, Step::Key(key)) => key.as_str(),
            (_, Step::At(_)) => return Err(group(at)),
        };
        match operand {
            Operand::Root => root(key, at),
            Operand::Parameters => self.path(Source::Parameter(key.to_owned()), Vec::new(), at),
            Operand::Variables => self.session(vec![key.to_owned()], at),
            Operand::Group(name) => {
                let mut keys: Vec<String> = name.split('.').map(str::to_owned).collect();
                keys.push(key.to_owned());
                self.session(keys, at)
            }
            Operand::Statics => match self.scope.statics.get(key) {
                Some(text) => Ok(Operand::Expression(Expression::Constant(
                    text.clone().into(),
                ))),
                None => {
                    let message = format!("no static variable `{key}` is declared");
                    let declared = self.scope.statics.keys().map(String::as_str);
                    let remedy = match nearest(key, declared) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => "declare it under `static_variables:`".to_owned(),
                    };
                    Err(TemplateProblem::new(at, message, &remedy))
                }
            },
            Operand::Expression(Expression::Path(Path { source, mut steps })) => {
                steps.push(step);
                self.path(source, steps, at)
            }
            Operand::Expression(value) => {
                let key = match step {
                    Step::Key(key) => Value::String(key),
                    Step::At(index) => Value::from(index),
                };
                let operands = vec![value, Expression::Constant(key)];
                Ok(Operand::Expression(Expression::Call(
                    Function::Index,
                    operands,
                )))
            }
            Operand::Unknown => Ok(Operand::Unknown),
        }
    }

    /// A path, if what it names is declared.
    fn path(
        &mut self,
        source: Source,
        steps: Vec<Step>,
        at: &Range<usize>,
    ) -> Result<Operand, TemplateProblem> {
        if steps.len() > MAX_DEPTH {
            let message = format!("a name with more than {MAX_DEPTH} parts");
            return Err(TemplateProblem::new(
                at,
                message,
                "name a value nearer to the root",
            ));
        }
        if source == Source::Session {
            let keys = steps.iter().map(|step| match step {
                Step::Key(key) => Some(key.clone()),
                Step::At(_) => None,
            });
            if let Some(keys) = keys.collect() {
                return self.session(keys, at);
            }
        }
        let path = Path { source, steps };
        if let Some(names) = path.property() {
            if self.scope.parameters.declared(&names).is_none() {
                return Err(self.undeclared(&names, at));
            }
            if path.steps.is_empty() {
                self.mentions.parameters.push(names[0].to_owned());
            }
        }
        Ok(Operand::Expression(Expression::Path(path)))
    }

    fn undeclared(&self, names: &[&str], at: &Range<usize>) -> TemplateProblem {
        let name = names.join(".");
        let message = format!("no parameter `{name}` is declared");
        if names.len() > 1 {
            return TemplateProblem::new(at, message, "declare it in the schema of that parameter");
        }
        let meant = self.scope.parameters.nearest(&name);
        let remedy = meant.map(|it| format!("did you mean `{it}`?"));
        let declare = "declare it under `parameters.properties`";
        TemplateProblem::new(at, message, remedy.as_deref().unwrap_or(declare))
    }

    /// What stands below `.variables`: what exeat knows, what the runtime sets, or an output of an earlier call.
    fn session(
        &mut self,
        keys: Vec<String>,
        at: &Range<usize>,
    ) -> Result<Operand, TemplateProblem> {
        let name = keys.join(".");
        let declared = self.scope.parameters.declared(&[&keys[0]]);
        if declared.is_some_and(|it| it.kind != Kind::Assumed) {
            let message = format!(
                "`{}` is a parameter; `.variables` are those of the session",
                keys[0]
            );
            let remedy = format!("write `.parameters.{name}`");
            return Err(TemplateProblem::new(at, message, &remedy));
        }
        // The step before named only the way to it.
        let before = keys[..keys.len() - 1].join(".");
        self.mentions.session.pop_if(|last| *last == before);
        if let Some(found) = self.provided(&name) {
            return Ok(found);
        }
        self.mentions.session.push(name);
        Ok(Operand::Expression(Expression::Path(Path {
            source: Source::Session,
            steps: keys.into_iter().map(Step::Key).collect(),
        })))
    }

    /// A built-in name or a declared variable of the context.
    fn provided(&mut self, name: &str) -> Option<Operand> {
        let source = if let Some(known) = Known::named(name) {
            self.mentions.moment |= known == Known::CurrentDatetime;
            Source::Known(known)
        } else if let Some(context) = self.scope.context.get(name) {
            self.mentions.sensitive |= context.sensitive;
            Source::Context(name.to_owned())
        } else if self.is_group(name) {
            return Some(Operand::Group(name.to_owned()));
        } else {
            return None;
        };
        let steps = Vec::new();
        let path = Path { source, steps };
        Some(Operand::Expression(Expression::Path(path)))
    }

    /// Whether declared names begin with this one.
    fn is_group(&self, name: &str) -> bool {
        let is_below = |it: &String| it.strip_prefix(name).is_some_and(|it| it.starts_with('.'));
        self.scope.context.keys().any(is_below)
    }

    /// A bare name: the first part decides.
    fn word(&mut self, names: &[String], at: &Range<usize>) -> Result<Operand, TemplateProblem> {
        let first = names[0].as_str();
        match (first, names.len()) {
            ("true", 1) => return Ok(Operand::Expression(Expression::Constant(true.into()))),
            ("false", 1) => return Ok(Operand::Expression(Expression::Constant(false.into()))),
            ("nil", 1) => return Ok(Operand::Expression(Expression::Constant(Value::Null))),
            _ => {}
        }
        let name = names.join(".");
        let provided = |it: &str| {
            Known::named(it).is_some() || self.scope.context.contains_key(it) || self.is_group(it)
        };
        let declared = self.scope.parameters.declared(&[first]);
        let is_provided = provided(first) || provided(&name);
        let is_parameter = declared.is_some_and(|it| it.kind != Kind::Assumed || !is_provided);
        if is_parameter && is_provided {
            let what = if Known::named(&name).is_some() {
                "a built-in name"
            } else {
                "a variable of the context"
            };
            let message = format!("`{first}` is both a parameter and {what}");
            let remedy = "write `.parameters.` or `.variables.` before it, or rename the parameter";
            return Err(TemplateProblem::new(at, message, remedy));
        }
        if is_parameter {
            let parameter = self.path(Source::Parameter(first.to_owned()), Vec::new(), at)?;
            return self.fields(parameter, &names[1..], at);
        }
        match self.provided(&name) {
            Some(found) => Ok(found),
            None => Err(self.unknown(&name, at)),
        }
    }

    fn unknown(&self, name: &str, at: &Range<usize>) -> TemplateProblem {
        if self.scope.parameters.declared(&[name]).is_some() {
            let message = format!("`{name}` cannot be written as a bare name");
            let remedy = format!("write `index .parameters \"{name}\"`");
            return TemplateProblem::new(at, message, &remedy);
        }
        let message = format!(
            "`{name}` is neither a declared parameter nor a built-in name or variable of the context"
        );
        let provided = self.scope.context.keys().map(String::as_str);
        let provided = provided.chain(Known::names());
        let meant = self.scope.parameters.nearest(name);
        let meant = meant.or_else(|| nearest(name, provided));
        let remedy = meant.map(|it| format!("did you mean `{it}`?"));
        let declare =
            "declare it under `parameters.properties`, or under `context:` if the runtime sets it";
        TemplateProblem::new(at, message, remedy.as_deref().unwrap_or(declare))
    }
}

fn root(key: &str, at: &Range<usize>) -> Result<Operand, TemplateProblem> {
    match key {
        "parameters" => Ok(Operand::Parameters),
        "variables" => Ok(Operand::Variables),
        "static_variables" => Ok(Operand::Statics),
        _ => {
            let message = format!(
                "`.{key}` is nothing: there are `.parameters`, `.variables` and `.static_variables`"
            );
            let remedy = format!("write `{key}` without the dot, or `.parameters.{key}`");
            Err(TemplateProblem::new(at, message, &remedy))
        }
    }
}

fn value_of(operand: Operand) -> Option<Expression> {
    match operand {
        Operand::Expression(value) => Some(value),
        Operand::Unknown => Some(Expression::Constant(Value::Null)),
        Operand::Root
        | Operand::Parameters
        | Operand::Variables
        | Operand::Statics
        | Operand::Group(_) => None,
    }
}

fn group(at: &Range<usize>) -> TemplateProblem {
    let remedy = "name one value of it, such as `.parameters.x`";
    TemplateProblem::new(at, "a group of names has no value", remedy)
}

fn unexpected(token: &Token) -> TemplateProblem {
    let (message, remedy) = match &token.kind {
        TokenKind::Refused('|') => (
            "pipes are not part of the template language",
            "write the function first: `eq .parameters.x \"a\"`",
        ),
        TokenKind::Refused('=') => (
            "a variable cannot be assigned again",
            "declare another one with `:=`, and print it in the same block",
        ),
        TokenKind::Refused(_) => ("`,` has no meaning here", "separate arguments by spaces"),
        TokenKind::Declare => ("`:=` follows a variable", "write `{{$name := value}}`"),
        TokenKind::Close => ("`)` without `(`", "remove it"),
        _ => (
            "a value takes no arguments",
            "put a function before it, such as `eq`, or remove what follows",
        ),
    };
    TemplateProblem::new(&token.at, message, remedy)
}
