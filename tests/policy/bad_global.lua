-- expect: bad_global.lua:4:1: there is no global "gaet"; did you mean "gate"?
gate = require "moongate"

gaet.on("rcpt", function() end)
