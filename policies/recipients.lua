-- recipients: only people who exist get mail.
--
-- Looks each recipient up in a map, as "user@domain", without "+tag", then as "@domain". What the map says there:
--     (nothing), ok          permitted; later handlers may still refuse
--     reject [text]          550 5.1.1, with that text
--     defer [text]           451 4.2.1, with that text
--     discard                accepted and thrown away, visibly in the log
-- Who is not in it is refused. With `domains` only their recipients are looked up, others are left to other handlers.
--
-- Options: map (required), domains, delimiter, text
-- Example: gate.use("recipients", { map = "recipients", domains = { "example.org" } })
local gate = require "moongate"

local function set_of(list)
	local set = {}
	for _, word in ipairs(list or {}) do set[word:lower()] = true end
	return set
end

local verdicts = {
	ok = function() end,
	reject = function(text) return gate.reject(550, "5.1.1", text ~= "" and text or "no such recipient") end,
	defer = function(text) return gate.defer(451, "4.2.1", text ~= "" and text or "this mailbox is not available now") end,
	discard = function() return gate.discard { reason = "recipients map" } end,
}

return {
	options = {
		map = { type = "map", required = true, doc = "name of the map in the settings" },
		domains = { type = "list", doc = "look up recipients of these domains only" },
		delimiter = { type = "string", default = "+", doc = "what parts a tag from a user; empty: nothing does" },
		text = { type = "string", default = "no such recipient", doc = "what an unknown one is answered" },
	},
	setup = function(on, o)
		local only = o.domains and set_of(o.domains)

		local function find(rcpt)
			local found = o.map:get(rcpt.address)
			if found == nil and o.delimiter ~= "" then
				local at = rcpt.localpart:find(o.delimiter, 2, true)
				if at then found = o.map:get(rcpt.localpart:sub(1, at - 1) .. "@" .. rcpt.domain) end
			end
			if found == nil then found = o.map:get("@" .. rcpt.domain) end
			return found
		end

		on("rcpt", {}, function(_, rcpt)
			if only and not only[rcpt.domain] then return end
			local found = find(rcpt)
			if found == nil then return gate.reject(550, "5.1.1", o.text) end
			local word, text = (found == true and "ok" or found):match("^(%S+)%s*(.*)$")
			local verdict = verdicts[word:lower()]
			if not verdict then error(('the map says "%s" for %s'):format(found, rcpt.address)) end
			verdict = verdict(text)
			if not verdict then rcpt:permit() end
			return verdict
		end)
	end,
}
