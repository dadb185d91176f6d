-- first: ten lines that decide who may write to whom. A place to begin: copy it, and change it while mail flows.
local gate = require "moongate"

gate.on("mail", { name = "no-spammers" }, function(tx)
	if tx.sender_domain == "spam.example" then return gate.reject(550, "5.7.1", "no, thank you") end
end)

gate.on("rcpt", { name = "our-domain" }, function(_, rcpt)
	if rcpt.domain == "example.com" then return gate.accept() end
end)
