-- How Apache reads a request, in lines of words in hexadecimal digits.

local function hex(text)
  return (tostring(text):gsub(".", function(byte) return string.format("%02x", byte:byte()) end))
end

function handle(r)
  r.content_type = "text/plain"

  local function tell(kind, ...)
    local words = { kind }
    for index = 1, select("#", ...) do
      words[index + 1] = hex((select(index, ...)))
    end
    r:puts(table.concat(words, " "), "\n")
  end

  -- mod_lua takes what it has parsed from the end, so the last value of a name comes first.
  local function tell_all(kind, lists)
    tell(kind, "httpd")
    for name, values in pairs(lists) do
      for index = #values, 1, -1 do
        tell(kind, "httpd", name, values[index])
      end
    end
  end

  tell("method", r.method)
  tell("target", r.unparsed_uri)
  tell("path", "httpd", r.uri)
  local _, arguments = r:parseargs()
  tell_all("query", arguments)
  for name, value in pairs(r:headers_in_table()) do
    tell("header", name, value)
  end
  -- A body can be read once: as a form, or as it came.
  local content_type = r.headers_in["Content-Type"] or ""
  if content_type:find("urlencoded", 1, true) then
    local _, fields = r:parsebody()
    tell_all("form", fields)
  else
    tell("body", r:requestbody() or "")
  end
  tell("end")
  return apache2.OK
end
