-- expect: bad_hook.lua:4:10: there is no hook "recpt"; did you mean "rcpt"?
local gate = require "moongate"

gate.on("recpt", function() end)
