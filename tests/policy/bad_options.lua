-- expect: bad_options.lua:5:1: gate.use("recipients"): domain: there is no such option; did you mean "domains"?
-- expect: bad_options.lua:6:39: mode: "observe" is not known
local gate = require "moongate"

gate.use("recipients", { map = "recipients", domain = "example.org" })
gate.on("rcpt", { name = "y", mode = "observe" }, function() end)
