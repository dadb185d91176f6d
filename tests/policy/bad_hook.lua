-- expect: bad_hook.lua:4: there is no hook "recipient"; did you mean "rcpt"?
local gate = require "moongate"

gate.on("recipient", function() end)
