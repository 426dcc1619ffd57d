//! Group M: our own listeners: admin, metrics, tools, MCP.
