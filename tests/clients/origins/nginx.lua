-- How nginx reads a request, in lines of words in hexadecimal digits.

local cjson = require("cjson")
cjson.encode_number_precision(14)

local function hex(text)
  return (tostring(text):gsub(".", function(byte) return string.format("%02x", byte:byte()) end))
end

local function tell(kind, ...)
  local words = { kind }
  for index = 1, select("#", ...) do
    words[index + 1] = hex((select(index, ...)))
  end
  ngx.say(table.concat(words, " "))
end

-- A name alone has the value `true`, a repeated one a list.
local function tell_pairs(kind, arguments)
  tell(kind, "openresty")
  for name, values in pairs(arguments) do
    if type(values) ~= "table" then
      values = { values }
    end
    for _, value in ipairs(values) do
      tell(kind, "openresty", name, value == true and "" or value)
    end
  end
end

tell("method", ngx.req.get_method())
tell("target", ngx.var.request_uri)
tell("path", "nginx", ngx.var.uri)
tell_pairs("query", ngx.req.get_uri_args(0))
for name, values in pairs(ngx.req.get_headers(0)) do
  for _, value in ipairs(type(values) == "table" and values or { values }) do
    tell("header", name, value)
  end
end
ngx.req.read_body()
local body = ngx.req.get_body_data() or ""
tell("body", body)
local content_type = ngx.var.content_type or ""
if content_type:find("json", 1, true) then
  tell("json", "cjson", cjson.encode(cjson.decode(body)))
elseif content_type:find("urlencoded", 1, true) then
  tell_pairs("form", ngx.req.get_post_args(0))
end
tell("end")
