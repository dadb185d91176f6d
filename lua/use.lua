-- gate.use(name, options): a ready policy, or one of your own, with its options checked.
--
-- A policy that can be used is a file that returns a table:
--
--     return {
--         options = { delay = { type = "duration", default = "5m", doc = "how long" } },
--         setup = function(on, o)
--             on("rcpt", { priority = 300 }, function(tx, rcpt) ... o.delay ... end)
--         end,
--     }
--
-- `on` is gate.on with the handler options that the site gave to gate.use laid over those in the file, and with the name of the
-- policy as the handlers' name. Every policy takes these besides its own: name priority timeout on_error mode listener skip_trusted.

local READY = 300
local of_handler = { "name", "priority", "timeout", "on_error", "mode", "listener", "skip_trusted" }

-- nearest - the known word that is meant by a wrong one, as the end of a message
local function nearest(word, known)
	local best, most = nil, 0
	for _, candidate in ipairs(known) do
		local same = 0
		for i = 1, #word - 1 do
			if candidate:find(word:sub(i, i + 1), 1, true) then same = same + 1 end
		end
		if same > most then best, most = candidate, same end
	end
	return best and ('; did you mean "%s"?'):format(best) or ""
end

local function sorted_keys(t)
	local keys = {}
	for key in pairs(t) do keys[#keys + 1] = key end
	table.sort(keys)
	return keys
end

local check = {}

local function plain(kind)
	return function(value)
		if type(value) == kind then return value end
		return nil, ("a %s is expected, got a %s"):format(kind, type(value))
	end
end

check.string = plain "string"
check.boolean = plain "boolean"
check.number = plain "number"
check.table = plain "table"

function check.integer(value)
	if math.type(value) == "integer" then return value end
	return nil, ("an integer is expected, got %s"):format(tostring(value))
end

function check.list(value)
	if type(value) == "string" then return { value } end
	if type(value) ~= "table" then return nil, ("a list of strings is expected, got a %s"):format(type(value)) end
	for i, item in ipairs(value) do
		if type(item) ~= "string" then
			return nil, ("a list of strings is expected, item %d is a %s"):format(i, type(item))
		end
	end
	return value
end

return function(gate, find, problem)
	-- Seconds, whatever way they were written.
	function check.duration(value)
		local fine, seconds = pcall(gate.seconds, value)
		if fine then return seconds end
		return nil, (tostring(seconds):gsub("^.*seconds: ", ""))
	end

	-- checked - one option by its row in the policy's table; nil and a message
	local function checked(row, value)
		if row.type == "map" then
			if type(value) ~= "string" then return nil, "the name of a map is expected" end
			return gate.map(value)
		end
		if row.type == "choice" then
			for _, word in ipairs(row.words) do
				if word == value then return value end
			end
			return nil, ("one of %s is expected"):format(table.concat(row.words, ", "))
		end
		return check[row.type](value)
	end

	-- options - what setup gets, and what every handler gets; or nil after each problem was reported
	local function options(name, rows, given)
		local own, handler, known, fine = {}, {}, sorted_keys(rows), true
		local function wrong(key, message)
			fine = false
			problem(('gate.use("%s"): %s: %s'):format(name, key, message))
		end
		for _, key in ipairs(of_handler) do
			known[#known + 1] = key
			handler[key] = given[key]
		end
		for key, row in pairs(rows) do
			local value = given[key]
			if value == nil then value = row.default end
			if value ~= nil then
				local message
				own[key], message = checked(row, value)
				if message then wrong(key, message) end
			elseif row.required then
				wrong(key, "this option must be given" .. (row.doc and (": " .. row.doc) or ""))
			end
		end
		for key in pairs(given) do
			local is_known = false
			for _, word in ipairs(known) do is_known = is_known or word == key end
			if not is_known then
				wrong(tostring(key), "there is no such option" .. nearest(tostring(key), known))
			end
		end
		if fine then return own, handler end
	end

	function gate.use(name, given)
		if type(name) ~= "string" or (given ~= nil and type(given) ~= "table") then
			return problem("gate.use(name [, options]): a name and a table are expected")
		end
		local found, policy, short = pcall(find, name)
		if not found then
			return problem(('gate.use("%s"): %s'):format(name, (tostring(policy):gsub("^lua/use.lua:%d+: ", ""))))
		end
		if type(policy) ~= "table" or type(policy.setup) ~= "function" then
			if given ~= nil then
				problem(('gate.use("%s"): this policy takes no options'):format(name))
			end
			return
		end
		local own, handler = options(short, policy.options or {}, given or {})
		if not own then return end
		local fine, message = pcall(policy.setup, function(hook, defaults, fn)
			local merged = { name = short, priority = READY }
			if fn == nil then fn, defaults = defaults, {} end
			for key, value in pairs(defaults) do merged[key] = value end
			for key, value in pairs(handler) do merged[key] = value end
			return gate.on(hook, merged, fn)
		end, own)
		if not fine then problem(('gate.use("%s"): %s'):format(short, tostring(message))) end
	end
end
