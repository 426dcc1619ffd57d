//! What an MCP client sees of exeat: its agent's actions as tools, and nothing else.

use std::sync::{Arc, OnceLock};

use http::StatusCode;
use http::request::Parts;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CompleteRequestMethod, CompleteRequestParams,
    CompleteResult, ConstString, CustomRequest, CustomResult, ErrorCode, Extensions,
    Implementation, ListPromptsRequestMethod, ListPromptsResult,
    ListResourceTemplatesRequestMethod, ListResourceTemplatesResult, ListResourcesRequestMethod,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig,
    SubscriptionFilter,
};
use rmcp::service::{NotificationContext, RequestContext, SubscriptionContext};
use rmcp::{ErrorData, Peer, RoleServer, ServerHandler};
use serde_json::{Map, Value};
use tokio::task::AbortHandle;

use crate::agents;
use crate::exchange::{Begun, Call, Called, Denied, Gate, Steps};
use crate::live::Changes;
use crate::mcp::calls::{Calls, Gone};
use crate::mcp::lasting::Lasting;
use crate::mcp::{outcome, progress};
use crate::name::ActionName;
use crate::policy;
use crate::policy::Policy;
use crate::refusal::{Code, Refusal};
use crate::request::{Caller, Door};
use crate::toolbox;
use crate::toolbox::{Format, Tool};
use crate::trace::{Claimed, TRACEPARENT};

/// For the model that gets the tools.
const INSTRUCTIONS: &str = "Each tool is one declared action. A result with isError holds either a refusal, whose \
    message says what to change, or the reply of a server that did not do what was asked. Credentials are added \
    behind the tools: none is ever needed as an argument.";

/// What all clients share.
pub(super) struct Place {
    pub(super) gate: Arc<Gate>,
    pub(super) calls: Calls,
}

impl Place {
    /// Puts on record what did not get as far as a call.
    pub(super) fn turn_away(&self, caller: &Caller, why: Refusal) {
        if let Ok(begun) = self.gate.open(Door::Mcp, None) {
            deny(begun, caller, why);
        }
    }

    /// Puts on record what was no message and has been answered.
    pub(super) fn note(&self, caller: &Caller, status: StatusCode) {
        if let Ok(mut begun) = self.gate.open(Door::Mcp, None) {
            begun.ticket.known(caller);
            begun.shown(status, 0);
        }
    }
}

/// One client's view.
pub(super) struct Face {
    place: Arc<Place>,
    caller: Whose,
    /// Those since the client came: one that comes while it is being confirmed that it will hear of them counts too.
    changes: Changes,
    /// Tells the client of changes, for as long as the client is there.
    telling: OnceLock<Telling>,
}

/// Whose calls these are.
pub(super) enum Whose {
    /// The process's own: stdio.
    One(Caller),
    /// Each request says so, in what the listener has found out about it.
    EachRequests,
}

/// A task that ends with its owner.
struct Telling(AbortHandle);

impl Drop for Telling {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Who sends an HTTP request and whether they still wait: put there by the listener, out of a message's reach.
#[derive(Clone)]
pub(super) struct Sender {
    pub(super) caller: Caller,
    pub(super) gone: Gone,
    pub(super) version: http::Version,
    /// By which it was found out who they are.
    pub(super) policy: Arc<Policy>,
}

impl Face {
    pub(super) fn new(place: Arc<Place>, caller: Whose) -> Self {
        Self {
            changes: place.gate.services.live.changes(),
            place,
            caller,
            telling: OnceLock::new(),
        }
    }

    /// One policy for all of a request: that by which the listener has found out who sends it.
    fn policy(&self, extensions: &Extensions) -> Arc<Policy> {
        let live = || self.place.gate.services.live.snapshot();
        sender(extensions).map_or_else(live, |it| it.policy.clone())
    }

    /// Who asks, in the environment that this policy gives them.
    fn caller(&self, extensions: &Extensions, policy: &Policy) -> Result<Caller, ErrorData> {
        let caller = match &self.caller {
            Whose::One(caller) => caller,
            Whose::EachRequests => sender(extensions)
                .map(|it| &it.caller)
                .ok_or_else(|| ErrorData::internal_error("nobody is known to have asked", None))?,
        };
        let given = self.place.gate.services.settings.environment.as_ref();
        Ok(agents::rehomed(caller, policy, given))
    }

    async fn carry(
        &self,
        begun: Begun,
        caller: Caller,
        params: CallToolRequestParams,
        via: Option<http::Version>,
    ) -> Called {
        let Ok(action) = ActionName::parse(&params.name) else {
            let message = format!("no action is named {}", params.name.escape_debug());
            return Err(deny(
                begun,
                &caller,
                Refusal::new(Code::ActionUndeclared, message),
            ));
        };
        let Some(_place) = self.place.calls.enter() else {
            let message = "too many calls are under way; call again in a moment";
            return Err(deny(
                begun,
                &caller,
                Refusal::new(Code::Overloaded, message),
            ));
        };
        let parameters = params.arguments.unwrap_or_default();
        let call = Call {
            door: Door::Mcp,
            caller,
            action,
            bytes: size(&parameters),
            parameters,
            context: Map::new(),
            version: via,
        };
        self.place.gate.call(begun, call).await
    }
}

impl ServerHandler for Face {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("exeat", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let policy = self.policy(&context.extensions);
        let caller = self.caller(&context.extensions, &policy)?;
        let usable = policy::usable(&policy, &caller, Door::Mcp);
        let tools = usable.map(|action| Tool::of(action));
        let tools = serde_json::from_value(toolbox::definitions(tools, Format::Mcp));
        let tools = tools.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
        Ok(ListToolsResult::with_all_items(tools))
    }

    async fn call_tool(
        &self,
        params: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let policy = self.policy(&context.extensions);
        let mut begun = match self.place.gate.open_under(policy, Door::Mcp, None) {
            Ok(begun) => begun,
            Err(refusal) => return Ok(outcome::unrecorded(&refusal).into()),
        };
        let caller = self.caller(&context.extensions, &begun.policy)?;
        let sender = sender(&context.extensions);
        let gone = sender.map(|it| it.gone.clone());
        let (steps, seen) = Steps::watched();
        begun.steps = steps;
        let services = &self.place.gate.services;
        services.note_trace(claimed(&context), &mut begun.ticket);
        let token = context.meta.get_progress_token();
        let telling = progress::tell(&context.peer, token, seen);
        let carrying = self.carry(begun, caller, params, sender.map(|it| it.version));
        tokio::select! {
            called = carrying => Ok(outcome::told(called)?.into()),
            () = context.ct.cancelled() => Err(nobody_waits()),
            () = wait(gone) => Err(nobody_waits()),
            never = telling => match never {},
        }
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        let (peer, changes) = (context.peer, self.changes.clone());
        self.telling
            .get_or_init(|| Telling(tokio::spawn(tell(peer, changes)).abort_handle()));
    }

    fn accepted_subscription_filter(&self, _: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(SubscriptionFilter::builder().tools_list_changed().build())
    }

    async fn listen(&self, subscription: SubscriptionContext) -> Result<(), ErrorData> {
        let mut changes = self.changes.clone();
        let tell = async {
            while changes.next().await
                && subscription.sink().notify_tool_list_changed().await.is_ok()
            {}
        };
        let extensions = &subscription.request_context().extensions;
        let gone = sender(extensions).map(|it| it.gone.clone());
        let policy = self.policy(extensions);
        let caller = self.caller(extensions, &policy)?;
        let lasting = Lasting::of(&self.place, &policy, caller)
            .map_err(|refusal| ErrorData::invalid_request(refusal.message, None))?;
        tokio::select! {
            () = lasting.over() => {}
            () = tell => {}
            () = subscription.cancelled() => {}
            () = wait(gone) => {}
        }
        Ok(())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Err(not_offered::<ListResourcesRequestMethod>())
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Err(not_offered::<ListResourceTemplatesRequestMethod>())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Err(not_offered::<ListPromptsRequestMethod>())
    }

    async fn complete(
        &self,
        _: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        Err(not_offered::<CompleteRequestMethod>())
    }

    /// rmcp takes a known method with parameters of another shape for an unknown one.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        const KNOWN: [&str; 3] = ["initialize", "tools/list", "tools/call"];
        let (code, says) = match KNOWN.contains(&&*request.method) {
            true => (ErrorCode::INVALID_PARAMS, "its params have another shape"),
            false => (ErrorCode::METHOD_NOT_FOUND, "there is no such method"),
        };
        let message = format!("{}: {says}", request.method);
        if request.method == "tools/call" {
            let policy = self.policy(&context.extensions);
            let caller = self.caller(&context.extensions, &policy)?;
            let malformed = Refusal::new(Code::RequestMalformed, message.as_str());
            self.place.turn_away(&caller, malformed);
        }
        Err(ErrorData::new(code, message, None))
    }
}

/// What no capability promises is not there (2025-11-25, basic/lifecycle, operation); rmcp would answer with an empty
/// list.
fn not_offered<M: ConstString>() -> ErrorData {
    let message = format!("{}: there is no such method", M::VALUE);
    ErrorData::new(ErrorCode::METHOD_NOT_FOUND, message, None)
}

fn deny(mut begun: Begun, caller: &Caller, refusal: Refusal) -> Denied {
    begun.ticket.known(caller);
    begun.stop(refusal.into())
}

/// What the message says of its trace (SEP-414 reserves the name), or else the request that brought it.
fn claimed(context: &RequestContext<RoleServer>) -> Claimed {
    match context.meta.get(TRACEPARENT.as_str()) {
        Some(Value::String(text)) => Claimed::of_text(text.as_bytes()),
        Some(_) => Claimed::Invalid,
        None => {
            let head = context.extensions.get::<Parts>();
            head.map_or(Claimed::Nothing, |it| Claimed::of_headers(&it.headers))
        }
    }
}

fn sender(extensions: &Extensions) -> Option<&Sender> {
    extensions.get::<Parts>()?.extensions.get::<Sender>()
}

/// Over stdio, the end of the input says that nobody waits, and rmcp sees to that.
async fn wait(gone: Option<Gone>) {
    match gone {
        Some(gone) => gone.wait().await,
        None => std::future::pending().await,
    }
}

/// For nobody: rmcp drops the answer to a request that is cancelled.
fn nobody_waits() -> ErrorData {
    ErrorData::internal_error("the call was cancelled", None)
}

async fn tell(peer: Peer<RoleServer>, mut changes: Changes) {
    while changes.next().await && peer.notify_tool_list_changed().await.is_ok() {}
}

/// As they stand on the wire, without space between them.
fn size(parameters: &Map<String, Value>) -> usize {
    serde_json::to_vec(parameters).map_or(0, |text| text.len())
}
