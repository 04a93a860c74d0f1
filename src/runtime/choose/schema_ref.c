/*
 * schema_ref.c: where a $ref leads.
 *
 * A document has resources: itself, and each schema within that has an $id, a URI relative to that of the resource around it. A
 * schema can have a name in its resource ($anchor). A reference is a URI, relative to the resource that it stands in, and behind # nothing,
 * a JSON pointer from the root of that resource, or an anchor. Nothing is ever fetched: a reference to a resource that the document
 * does not hold is refused.
 *
 * The resource of a schema is kept in the tree. URIs are compared as texts, after RFC 3986, 5.2, without normalising them further.
 */
#include "choose/schema.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* finding is by looking at all of them */
#define MAX_RESOURCES 1000
#define MAX_ANCHORS 1000
#define MAX_URI ((size_t) 2000)

typedef struct Resource
{
	LlmStr		uri;			/* without fragment */
	const LlmJson *root;
} Resource;

typedef struct Anchor
{
	int32_t		resource;
	LlmStr		name;
	const LlmJson *schema;
} Anchor;

static LlmStr
part(LlmStr s, size_t begin, size_t end)
{
	return (LlmStr) {s.data + begin, end - begin};
}

/* ---- URIs ---- */

/* the first place from which on one of chars is in s, or its length; a zero byte is none of them */
static size_t
place_of(LlmStr s, size_t from, const char *chars)
{
	while (from < s.len && (s.data[from] == '\0' || !strchr(chars, s.data[from])))
		from++;
	return from;
}

/* length of "scheme:", 0: it is relative */
static size_t
scheme_len(LlmStr uri)
{
	size_t		n = 0;

	while (n < uri.len && (isalnum((unsigned char) uri.data[n]) || (n > 0 && uri.data[n] != '\0' && strchr("+-.", uri.data[n]))))
		n++;
	return n > 0 && n < uri.len && uri.data[n] == ':' && isalpha((unsigned char) uri.data[0]) ? n + 1 : 0;
}

/* behind the authority */
static size_t
path_begin(LlmStr uri)
{
	size_t		n = scheme_len(uri);

	return uri.len >= n + 2 && memcmp(uri.data + n, "//", 2) == 0 ? place_of(uri, n + 2, "/?") : n;
}

/* take "." and ".." out of a path, in place (RFC 3986, 5.2.4, for paths from the root and others) */
static size_t
remove_dots(char *path, size_t len)
{
	size_t		to = 0;
	const size_t root = len > 0 && path[0] == '/' ? 1 : 0;

	for (size_t i = to = root; i < len;)
	{
		const char *slash = memchr(path + i, '/', len - i);
		size_t		n = slash ? (size_t) (slash - path) - i : len - i;
		size_t		with_slash = n + (slash ? 1 : 0);

		if (n == 2 && memcmp(path + i, "..", 2) == 0)
		{
			if (to > root)
				to--;
			while (to > root && path[to - 1] != '/')
				to--;
		}
		else if (!(n == 1 && path[i] == '.'))
		{
			memmove(path + to, path + i, with_slash);
			to += with_slash;
		}
		i += with_slash;
	}
	return to;
}

/* a reference without fragment, against a base */
static LlmStatus
resolve(LlmSchemas *s, LlmStr base, LlmStr ref, LlmStr *out)
{
	const size_t path = path_begin(base);
	size_t		keep = path;	/* of the base */
	size_t		from;			/* in the result: its path */
	size_t		query;
	char	   *uri;

	if (ref.len == 0)
	{
		*out = base;
		return LLM_OK;
	}
	if (scheme_len(ref) > 0)
		keep = 0;
	else if (ref.len >= 2 && memcmp(ref.data, "//", 2) == 0)
		keep = scheme_len(base);
	else if (ref.data[0] == '?')
		keep = place_of(base, path, "?");
	else if (ref.data[0] != '/')
	{
		for (keep = place_of(base, path, "?"); keep > path && base.data[keep - 1] != '/';)
			keep--;
	}
	if (keep + ref.len > MAX_URI)
		return llm_compile_limit(s->cx, "a URI in a schema has more than %zu bytes", MAX_URI);
	LLM_TRY(llm_compile_alloc(s->cx, keep + ref.len + 1, 1, &uri));
	memcpy(uri, base.data, keep);
	memcpy(uri + keep, ref.data, ref.len);
	*out = (LlmStr) {uri, keep + ref.len};
	from = path_begin(*out);
	query = place_of(*out, from, "?");
	keep = remove_dots(uri + from, query - from);
	memmove(uri + from + keep, uri + query, out->len - query);
	out->len -= query - from - keep;
	return LLM_OK;
}

/* %41 to A, in place */
static size_t
decode_percent(char *text, size_t n)
{
	size_t		to = 0;

	for (size_t i = 0; i < n; i++)
	{
		char		digits[3] = {0};

		if (text[i] == '%' && i + 2 < n && memcpy(digits, text + i + 1, 2) && strspn(digits, "0123456789abcdefABCDEF") == 2)
		{
			text[to++] = (char) strtoul(digits, NULL, 16);
			i += 2;
		}
		else
			text[to++] = text[i];
	}
	return to;
}

/* ---- the document ---- */

static LlmStatus
add_anchor(LlmSchemas *s, const LlmJson *schema, const char *keyword)
{
	const LlmJson *name = llm_json_get(schema, keyword);
	Anchor		anchor = {.resource = schema->resource, .schema = schema};

	if (!name || name->kind != LLM_JSON_STRING)
		return LLM_OK;
	anchor.name = name->text;
	if (s->anchors.n == MAX_ANCHORS)
		return llm_compile_limit(s->cx, "a schema has more than %d anchors", MAX_ANCHORS);
	return llm_vec_push(s->cx, &s->anchors, &anchor, sizeof(anchor));
}

/* the resource that schema begins, or else stands in */
static LlmStatus
find_resource(LlmSchemas *s, const LlmJson *schema, int32_t around, int32_t *out)
{
	const LlmJson *id = llm_json_get(schema, "$id");
	Resource	resource = {.uri = {"", 0}, .root = schema};
	LlmStr		base = around >= 0 ? ((Resource *) s->resources.data)[around].uri : (LlmStr) {"", 0};

	*out = around;
	/* "#name" was an anchor in older drafts */
	if (around >= 0 && (!id || id->kind != LLM_JSON_STRING || id->text.len == 0 || id->text.data[0] == '#'))
		return LLM_OK;
	if (s->resources.n == MAX_RESOURCES)
		return llm_compile_limit(s->cx, "a schema holds more than %d schemas with an $id", MAX_RESOURCES);
	if (id && id->kind == LLM_JSON_STRING)
		LLM_TRY(resolve(s, base, part(id->text, 0, place_of(id->text, 0, "#")), &resource.uri));
	*out = (int32_t) s->resources.n;
	return llm_vec_push(s->cx, &s->resources, &resource, sizeof(resource));
}

/* note resources and anchors; nesting is at most that of the JSON reader */
static LlmStatus
visit(LlmSchemas *s, const LlmJson *schema, int32_t around)
{
	static const char *const of_schemas[] = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas",
		"prefixItems", "allOf", "anyOf", "oneOf", NULL};
	static const char *const schemas[] = {"items", "additionalProperties", "propertyNames", "contains", "not", "if", "then", "else",
		"unevaluatedItems", "unevaluatedProperties", "contentSchema", NULL};
	int32_t		resource;

	if (schema->kind != LLM_JSON_OBJECT)
		return LLM_OK;
	LLM_TRY(llm_compile_poll(s->cx, schema->n + 1));
	LLM_TRY(find_resource(s, schema, around, &resource));
	((LlmJson *) schema)->resource = resource;	/* kept in the tree */
	LLM_TRY(add_anchor(s, schema, "$anchor"));
	LLM_TRY(add_anchor(s, schema, "$dynamicAnchor"));
	for (size_t i = 0; i < schema->n; i++)
	{
		const LlmJson *v = schema->items[i];

		if (llm_str_is_one_of(schema->keys[i], schemas))
			LLM_TRY(visit(s, v, resource));
		else if ((v->kind == LLM_JSON_OBJECT || v->kind == LLM_JSON_ARRAY) && llm_str_is_one_of(schema->keys[i], of_schemas))
			for (size_t k = 0; k < v->n; k++)
				LLM_TRY(visit(s, v->items[k], resource));
	}
	return LLM_OK;
}

LlmStatus
llm_schemas_visit(LlmSchemas *s, const LlmJson *root)
{
	return visit(s, root, -1);
}

/* ---- following ---- */

static LlmStatus
points_to_nothing(LlmSchemas *s, LlmStr ref)
{
	LlmStatus	status = llm_fail(s->cx->err, LLM_E_ARGUMENT, "$ref \"%.*s\" points to nothing", (int) (ref.len > 100 ? 100 : ref.len), ref.data);

	llm_error_hint(s->cx->err, "References must point into the schema itself, like \"#/$defs/name\".");
	return status;
}

/* a step of a JSON pointer: ~1 is / and ~0 is ~; NULL: there is nothing */
static const LlmJson *
step(const LlmJson *at, char *piece, size_t n)
{
	size_t		to = 0;
	size_t		index = 0;

	for (size_t i = 0; i < n; i++)
	{
		if (piece[i] == '~' && i + 1 < n && (piece[i + 1] == '0' || piece[i + 1] == '1'))
			piece[to++] = piece[++i] == '0' ? '~' : '/';
		else
			piece[to++] = piece[i];
	}
	if (at->kind == LLM_JSON_OBJECT)
	{
		size_t		k = 0;

		while (k < at->n && !llm_str_same(at->keys[k], (LlmStr) {piece, to}))
			k++;
		return k < at->n ? at->items[k] : NULL;
	}
	for (size_t k = 0; k < to; k++)
		index = piece[k] < '0' || piece[k] > '9' || index > at->n ? SIZE_MAX / 16 : index * 10 + (size_t) (piece[k] - '0');
	return at->kind == LLM_JSON_ARRAY && to > 0 && index < at->n ? at->items[index] : NULL;
}

static LlmStatus
follow_pointer(LlmSchemas *s, const LlmJson *root, LlmStr pointer, const LlmJson **out)
{
	char	   *piece;

	LLM_TRY(llm_compile_alloc(s->cx, pointer.len + 1, 1, &piece));
	*out = root;
	for (size_t i = 0; i < pointer.len && *out;)
	{
		size_t		end = place_of(pointer, i + 1, "/");

		memcpy(piece, pointer.data + i + 1, end - i - 1);
		*out = step(*out, piece, decode_percent(piece, end - i - 1));
		i = end;
	}
	return LLM_OK;
}

/* NULL: there is none */
static LlmStatus
follow_anchor(LlmSchemas *s, int32_t resource, LlmStr name, const LlmJson **out)
{
	const Anchor *anchors = s->anchors.data;
	char	   *decoded;
	size_t		n;

	*out = NULL;
	LLM_TRY(llm_compile_alloc(s->cx, name.len + 1, 1, &decoded));
	memcpy(decoded, name.data, name.len);
	n = decode_percent(decoded, name.len);
	LLM_TRY(llm_compile_poll(s->cx, s->anchors.n));
	for (size_t i = 0; i < s->anchors.n && !*out; i++)
		if (anchors[i].resource == resource && llm_str_same(anchors[i].name, (LlmStr) {decoded, n}))
			*out = anchors[i].schema;
	return LLM_OK;
}

LlmStatus
llm_schemas_follow(LlmSchemas *s, const LlmJson *from, LlmStr ref, const LlmJson **out)
{
	const size_t hash = place_of(ref, 0, "#");
	const LlmStr fragment = hash < ref.len ? part(ref, hash + 1, ref.len) : (LlmStr) {"", 0};
	const Resource *resources = s->resources.data;
	size_t		i = (size_t) from->resource;

	if (hash > 0)
	{
		LlmStr		uri;

		LLM_TRY(resolve(s, resources[i].uri, part(ref, 0, hash), &uri));
		LLM_TRY(llm_compile_poll(s->cx, s->resources.n));
		for (i = 0; i < s->resources.n && !llm_str_same(resources[i].uri, uri);)
			i++;
		if (i == s->resources.n)
		{
			LlmStatus	status = llm_fail(s->cx->err, LLM_E_UNSUPPORTED, "$ref \"%.*s\" is not supported", (int) (ref.len > 100 ? 100 : ref.len),
										  ref.data);

			llm_error_hint(s->cx->err, "References must point into the schema itself, like \"#/$defs/name\".");
			return status;
		}
	}
	if (fragment.len == 0 || fragment.data[0] == '/')
		LLM_TRY(follow_pointer(s, resources[i].root, fragment, out));
	else
		LLM_TRY(follow_anchor(s, (int32_t) i, fragment, out));
	return *out ? LLM_OK : points_to_nothing(s, ref);
}
