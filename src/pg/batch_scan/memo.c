/*
 * memo.c: hash tables from keys to answers. Nothing here knows what an answer means.
 *
 * Keys are SHA-256 digests, so a hash of a key is some bytes of it, and two calls with the same key are the same call.
 */
#include "batch_scan/memo.h"
#include "sha256.h"

#include "lib/ilist.h"
#include "nodes/pg_list.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

/* ---- keys ---- */

PgLlmKey
pgllm_key(const char *what, const void *bytes, size_t n)
{
	pg_cryptohash_ctx *sha = pgllm_sha256_begin();
	PgLlmKey	key;

	pgllm_sha256_add(sha, what, strlen(what) + 1);
	pgllm_sha256_add(sha, bytes, n);
	pgllm_sha256_end(sha, key.digest);
	pg_cryptohash_free(sha);
	return key;
}

static HTAB *
key_table(const char *name, Size entry_bytes, MemoryContext context)
{
	HASHCTL		ctl = {.keysize = sizeof(PgLlmKey), .entrysize = entry_bytes, .hcxt = context};

	return hash_create(name, 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* ---- shelves ---- */

typedef struct ShelfEntry
{
	PgLlmKey	key;
	bool		waiting;		/* its answer is being computed */
	List	   *answers;		/* one that is shared, or drawn ones; NIL: none */
} ShelfEntry;

struct PgLlmShelf
{
	MemoryContext context;
	HTAB	   *entries;
	dlist_node	node;			/* in shelves */
	MemoryContextCallback unlink;
};

static dlist_head shelves = DLIST_STATIC_INIT(shelves);

static void
shelf_unlink(void *shelf)
{
	dlist_delete(&((PgLlmShelf *) shelf)->node);
}

PgLlmShelf *
pgllm_shelf_create(MemoryContext context)
{
	PgLlmShelf *shelf = MemoryContextAllocZero(context, sizeof(PgLlmShelf));

	shelf->context = context;
	shelf->entries = key_table("pg_llm shelf", sizeof(ShelfEntry), context);
	shelf->unlink.func = shelf_unlink;
	shelf->unlink.arg = shelf;
	dlist_push_head(&shelves, &shelf->node);
	MemoryContextRegisterResetCallback(context, &shelf->unlink);
	return shelf;
}

static ShelfEntry *
shelf_entry(PgLlmShelf *shelf, const PgLlmKey *key, bool *found)
{
	ShelfEntry *entry = hash_search(shelf->entries, key, HASH_ENTER, found);

	if (!*found)
	{
		entry->waiting = false;
		entry->answers = NIL;
	}
	return entry;
}

bool
pgllm_shelf_claim(PgLlmShelf *shelf, const PgLlmKey *key)
{
	bool		found;
	ShelfEntry *entry = shelf_entry(shelf, key, &found);

	if (!found)
		entry->waiting = true;
	return found;
}

void
pgllm_shelf_put(PgLlmShelf *shelf, const PgLlmKey *key, const PgLlmAnswer *answer)
{
	bool		found;
	ShelfEntry *entry = shelf_entry(shelf, key, &found);

	entry->waiting = false;
	if (answer != NULL && entry->answers == NIL)
		pgllm_shelf_put_drawn(shelf, key, answer);
}

void
pgllm_shelf_put_drawn(PgLlmShelf *shelf, const PgLlmKey *key, const PgLlmAnswer *answer)
{
	bool		found;
	ShelfEntry *entry = shelf_entry(shelf, key, &found);
	MemoryContext old = MemoryContextSwitchTo(shelf->context);

	entry->answers = lappend(entry->answers, pgllm_answer_copy(shelf->context, answer));
	MemoryContextSwitchTo(old);
}

/* the entry of a key that has answers, on the newest shelf that has one */
static ShelfEntry *
find_on_shelves(const PgLlmKey *key)
{
	dlist_iter	it;

	dlist_foreach(it, &shelves)
	{
		PgLlmShelf *shelf = dlist_container(PgLlmShelf, node, it.cur);
		ShelfEntry *entry = hash_search(shelf->entries, key, HASH_FIND, NULL);

		if (entry != NULL && entry->answers != NIL)
			return entry;
	}
	return NULL;
}

/* ---- the statement's memo ---- */

typedef struct MemoEntry
{
	PgLlmKey	key;
	PgLlmAnswer *answer;
	dlist_node	node;			/* in memo_used */
} MemoEntry;

static MemoryContext memo_context = NULL;
static HTAB *memo = NULL;
static Size memo_bytes = 0;
static dlist_head memo_used = DLIST_STATIC_INIT(memo_used);	/* the most recently used first */

void
pgllm_memo_forget(void)
{
	if (memo_context != NULL)
		MemoryContextDelete(memo_context);
	memo_context = NULL;
	memo = NULL;
	memo_bytes = 0;
	dlist_init(&memo_used);
}

static void
memo_create(void)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "pg_llm memo", ALLOCSET_DEFAULT_SIZES);

	memo_context = context;
	memo = key_table("pg_llm memo", sizeof(MemoEntry), context);
}

const PgLlmAnswer *
pgllm_memo_find(const PgLlmKey *key)
{
	ShelfEntry *on_shelf = find_on_shelves(key);
	MemoEntry  *entry;

	if (on_shelf != NULL)
		return linitial(on_shelf->answers);
	if (memo == NULL)
		return NULL;
	entry = hash_search(memo, key, HASH_FIND, NULL);
	if (entry == NULL)
		return NULL;
	dlist_move_head(&memo_used, &entry->node);
	return entry->answer;
}

const PgLlmAnswer *
pgllm_memo_take(const PgLlmKey *key)
{
	ShelfEntry *on_shelf = find_on_shelves(key);
	PgLlmAnswer *answer;
	PgLlmAnswer *copy;

	if (on_shelf == NULL)
		return NULL;
	answer = linitial(on_shelf->answers);
	copy = pgllm_answer_copy(CurrentMemoryContext, answer);
	on_shelf->answers = list_delete_first(on_shelf->answers);
	pfree(answer);
	return copy;
}

/* what an entry takes of work_mem */
static Size
entry_bytes(const PgLlmAnswer *answer)
{
	return answer->size_bytes + sizeof(MemoEntry) + 64;
}

static void
memo_drop(MemoEntry *entry)
{
	memo_bytes -= entry_bytes(entry->answer);
	dlist_delete(&entry->node);
	pfree(entry->answer);
	hash_search(memo, &entry->key, HASH_REMOVE, NULL);
}

void
pgllm_memo_store(const PgLlmKey *key, const PgLlmAnswer *answer)
{
	const Size	limit = (Size) work_mem * 1024;
	PgLlmAnswer *copy;
	MemoEntry  *entry;
	bool		found;

	if (entry_bytes(answer) > limit)
		return;
	if (memo == NULL)
		memo_create();
	copy = pgllm_answer_copy(memo_context, answer);
	entry = hash_search(memo, key, HASH_ENTER, &found);
	if (found)
	{
		memo_bytes -= entry_bytes(entry->answer);
		pfree(entry->answer);
		dlist_move_head(&memo_used, &entry->node);
	}
	else
		dlist_push_head(&memo_used, &entry->node);
	entry->answer = copy;
	memo_bytes += entry_bytes(copy);
	while (memo_bytes > limit)
		memo_drop(dlist_container(MemoEntry, node, dlist_tail_node(&memo_used)));
}
