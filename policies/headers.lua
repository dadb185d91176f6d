-- headers: rewrites the header of every message: removes, replaces, adds, tags the subject. In this order.
--
-- Options: remove  list of names, all fields of that name go
--          set     { ["X-Origin"] = "edge" }: the field has this value, once
--          add     list of { name, value }, at the end of the header
--          prepend list of { name, value }, at its top
--          subject_tag  text before the subject, unless it is there already
-- Example: gate.use("headers", { remove = { "X-Spam-Flag" }, subject_tag = "[extern]" })
local function pairs_check(list, what)
	for i, pair in ipairs(list) do
		if type(pair) ~= "table" or type(pair[1]) ~= "string" or type(pair[2]) ~= "string" then
			error(('%s[%d] is not { "Name", "value" }'):format(what, i), 0)
		end
	end
end

local function sorted(t)
	local names = {}
	for name, value in pairs(t) do
		if type(name) ~= "string" or type(value) ~= "string" then error("set has names and texts", 0) end
		names[#names + 1] = name
	end
	table.sort(names)
	return names
end

return {
	options = {
		remove = { type = "list", default = {}, doc = "names of fields to remove" },
		set = { type = "table", default = {}, doc = "name to value, once" },
		add = { type = "table", default = {}, doc = "list of { name, value } for the end" },
		prepend = { type = "table", default = {}, doc = "list of { name, value } for the top" },
		subject_tag = { type = "string", doc = "text before the subject" },
	},
	setup = function(on, o)
		local names = sorted(o.set)
		pairs_check(o.add, "add")
		pairs_check(o.prepend, "prepend")

		local function tag_subject(tx, msg)
			local subject = msg:header("subject") or ""
			if subject:sub(1, #o.subject_tag) ~= o.subject_tag then
				tx:set_header("Subject", subject == "" and o.subject_tag or o.subject_tag .. " " .. subject)
			end
		end

		on("message", { priority = 900 }, function(tx, msg)
			for _, name in ipairs(o.remove) do tx:remove_header(name) end
			for _, name in ipairs(names) do tx:set_header(name, o.set[name]) end
			for _, pair in ipairs(o.add) do tx:add_header(pair[1], pair[2]) end
			for _, pair in ipairs(o.prepend) do tx:prepend_header(pair[1], pair[2]) end
			if o.subject_tag then tag_subject(tx, msg) end
		end)
	end,
}
