//! Variables: the short form of parameters, and what the runtime may set.

use crate::policy::raw::decode::Text;
use crate::problem::Located;

section! {
    /// One parameter in the short form.
    Variable, "a variable" {
        name: Text, Required, "the parameter's name";
        kind as "type": Located<VariableType>, Required, "what it can be";
        description: Text, Optional, "what it means; agents read it";
        example: Text, Optional, "a value, for agents";
        required: Located<bool>, Optional, "`true`: every call has it";
        default: Text, Optional, "its value where a call has none";
    }
}

section! {
    /// One variable of the context.
    ContextVariable, "a variable of the context" {
        kind as "type": Located<VariableType>, Required, "what it can be";
        sensitive: Located<bool>, Optional, "`true`: hidden from agents and logs";
    }
}

choice! {
    /// What a variable can be.
    VariableType {
        String = "string", "Any text.";
        Integer = "integer", "A whole number of 64 bits.";
        Float = "float", "A number.";
        Boolean = "boolean", "`true` or `false`.";
        Date = "date", "A day, such as `2026-01-31`.";
        Email = "email", "An address of electronic mail.";
        Phone = "phone", "A telephone number.";
    }
}
