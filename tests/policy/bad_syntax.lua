-- expect: bad_syntax.lua:5:1: '}' expected (to close '{' at line 4) near ')'
local gate = require "moongate"

gate.on("rcpt", { name = "x",
function() end)
