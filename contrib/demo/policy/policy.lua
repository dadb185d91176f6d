-- Who may receive mail here, and what we put on top of it.
local gate = require "moongate"
local recipients = gate.map("recipients")

gate.on("rcpt", { name = "known-recipients" }, function(tx, rcpt)
	if not recipients:get(rcpt.address) then
		return gate.reject(550, "5.1.1", "no such recipient here")
	end
	rcpt:permit()
end)

gate.on("message", { name = "mark" }, function(tx, msg)
	tx:add_header("X-Gate", "checked by mx.example.com")
end)
