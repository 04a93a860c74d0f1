/*
 * errors.c: between the runtime, which reports by status and asks for memory and for pauses, and PostgreSQL, which raises.
 *
 * pgllm_raise is the one translation of a status to an SQLSTATE. Texts of the runtime are well-formed UTF-8 and can hold
 * anything of an untrusted file (names of tensors, say), so they are converted to the server's encoding without fail: a
 * message that cannot be converted would hide the error.
 *
 * Memory: everything that lives longer than a call, and all schedulers, is below one context (pgllm_context); its size is
 * what pg_llm.memory_limit limits. Only larger pieces are checked, as walking the contexts costs more than a small piece.
 */
#include "models.h"

#include <ctype.h>
#include <errno.h>

#include "access/xact.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#define CHECKED_BYTES ((size_t) 64 * 1024)

/* ---- memory ---- */

/* the last refusal because of the setting, for the message; size 0: none */
static struct
{
	size_t		size_bytes;
	size_t		used_bytes;
	bool		grammar;		/* wanted for compiling a grammar */
}			refused;

static void *
context_alloc(void *ctx, size_t size)
{
	if (size > MaxAllocHugeSize)
		return NULL;
	if (size >= CHECKED_BYTES && pgllm_memory_limit_kb > 0)
	{
		size_t		limit = (size_t) pgllm_memory_limit_kb * 1024;
		size_t		used = MemoryContextMemAllocated(pgllm_context(), true);

		if (used > limit || size > limit - used)
		{
			refused.size_bytes = size;
			refused.used_bytes = used;
			refused.grammar = strcmp(((MemoryContext) ctx)->name, PGLLM_GRAMMAR_CONTEXT) == 0;
			return NULL;
		}
	}
	return MemoryContextAllocExtended((MemoryContext) ctx, size, MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
}

static void
context_free(void *ctx, void *ptr)
{
	if (ptr)
		pfree(ptr);
}

const LlmAllocator *
pgllm_allocator(MemoryContext context)
{
	LlmAllocator *a = MemoryContextAlloc(context, sizeof(LlmAllocator));

	a->alloc = context_alloc;
	a->free = context_free;
	a->ctx = context;
	return a;
}

static void
raise_out_of_memory(const LlmError *err)
{
	size_t		size = refused.size_bytes;

	refused.size_bytes = 0;
	if (size > 0)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 refused.grammar ? errmsg("compiling a grammar needs more memory than pg_llm.memory_limit allows") :
				 errmsg("model needs more memory than pg_llm.memory_limit allows"),
				 errdetail("%zu kB more were asked for, %zu kB are in use by this session's models, the limit is %d kB.",
						   (size + 1023) / 1024, (refused.used_bytes + 1023) / 1024, pgllm_memory_limit_kb),
				 refused.grammar ? errhint("Give a smaller schema, pattern or grammar, or ask a superuser to raise pg_llm.memory_limit.") :
				 errhint("Use a model with a smaller context option or kv_type f16, lower pg_llm.batch_tokens, or ask a superuser to raise pg_llm.memory_limit.")));
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("out of memory"),
			 errdetail("%s", err->message),
			 errhint("Use a smaller model or a smaller context option.")));
}

/* ---- errors ---- */

static int
sqlstate_of(const LlmError *err)
{
	switch (err->status)
	{
		case LLM_E_FORMAT:
			return ERRCODE_DATA_CORRUPTED;
		case LLM_E_UNSUPPORTED:
			return ERRCODE_FEATURE_NOT_SUPPORTED;
		case LLM_E_LIMIT:
			return ERRCODE_PROGRAM_LIMIT_EXCEEDED;
		case LLM_E_ARGUMENT:
			return ERRCODE_INVALID_PARAMETER_VALUE;
		case LLM_E_NOMEM:
			return ERRCODE_OUT_OF_MEMORY;
		case LLM_E_IO:
		case LLM_E_DEVICE:
			return ERRCODE_SYSTEM_ERROR;
		case LLM_OK:
		case LLM_PAUSED:
			break;
	}
	return ERRCODE_INTERNAL_ERROR;
}

/* the runtime's hint where it has one, else what can be said of all errors of that kind */
static const char *
hint_of(const LlmError *err)
{
	if (err->hint[0])
		return pgllm_message_from_utf8(err->hint);
	switch (err->status)
	{
		case LLM_E_FORMAT:
			return "The model file is damaged or incomplete; fetch it again.";
		case LLM_E_UNSUPPORTED:
			return "llm_supported() lists what this version can compute.";
		case LLM_E_IO:
			if (err->sys_errno == ENOSPC || err->sys_errno == EDQUOT)
				return "Make room on that disk, or let a superuser set pg_llm.cache_path to a folder on another one.";
			return "Check the file, its disk and the permissions of the server's operating system user.";
		case LLM_E_LIMIT:
			return "Give less input, or raise the limit if it is a setting.";
		case LLM_E_ARGUMENT:
			return "Check the arguments and options of the call.";
		default:
			return NULL;
	}
}

/* errcode_for_file_access() calls what it does not know (too many symbolic links, say) an internal error */
static int
errcode_for_io(void)
{
	errcode_for_file_access();
	if (geterrcode() == ERRCODE_INTERNAL_ERROR)
		errcode(ERRCODE_IO_ERROR);
	return 0;
}

void
pgllm_raise(const LlmError *err)
{
	const char *hint;

	if (err->status == LLM_E_NOMEM)
		raise_out_of_memory(err);
	if (err->status == LLM_OK || err->status == LLM_PAUSED)
		elog(ERROR, "pg_llm runtime reported status %d as an error", (int) err->status);
	hint = hint_of(err);
	errno = err->sys_errno;
	ereport(ERROR,
			(err->status == LLM_E_IO ? errcode_for_io() : errcode(sqlstate_of(err)),
			 errmsg("%s", pgllm_message_from_utf8(err->message)),
			 err->detail[0] ? errdetail("%s", pgllm_message_from_utf8(err->detail)) : 0,
			 hint ? errhint("%s", hint) : 0));
}

ErrorData *
pgllm_end_failed_subtransaction(MemoryContext context)
{
	ErrorData  *error;

	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	return error;
}

/* ---- interrupts ---- */

/*
 * InterruptPending is set for much besides cancel; only CHECK_FOR_INTERRUPTS knows. While interrupts are held off it would
 * do nothing and leave the flag set, so there is no use in stopping for it.
 */
static bool
interrupt_waits(void *opaque)
{
	return InterruptPending && INTERRUPTS_CAN_BE_PROCESSED();
}

const LlmStop *
pgllm_stop(void)
{
	static const LlmStop stop = {.should_stop = interrupt_waits, .opaque = NULL};

	return &stop;
}

/* ---- errors of rows ---- */

#define MAX_REASONS 5

/* rows with the same trouble: their messages differ in numbers only */
typedef struct Reason
{
	uint64		n_rows;
	LlmError	first;
} Reason;

static struct
{
	uint64		n_rows;
	int			n_reasons;
	Reason		reasons[MAX_REASONS];	/* rows with others count in n_rows only */
}			row_errors;

bool		pgllm_raised_for_row = false;

static bool
same_reason(const char *a, const char *b)
{
	while (*a != '\0' && *b != '\0')
	{
		if (isdigit((unsigned char) *a) && isdigit((unsigned char) *b))
		{
			a += strspn(a, "0123456789");
			b += strspn(b, "0123456789");
		}
		else if (*a++ != *b++)
			return false;
	}
	return *a == *b;
}

bool
pgllm_row_error(const LlmError *err)
{
	int			i = 0;

	if (pgllm_on_error != PGLLM_ON_ERROR_NULL)
	{
		pgllm_raised_for_row = true;
		pgllm_raise(err);
	}
	row_errors.n_rows++;
	while (i < row_errors.n_reasons && !same_reason(row_errors.reasons[i].first.message, err->message))
		i++;
	if (i == MAX_REASONS)
		return true;
	if (i == row_errors.n_reasons)
	{
		row_errors.n_reasons++;
		row_errors.reasons[i] = (Reason) {.first = *err};
	}
	row_errors.reasons[i].n_rows++;
	return true;
}

void
pgllm_row_errors_forget(void)
{
	row_errors.n_rows = 0;
	row_errors.n_reasons = 0;
}

/* the first message of a reason */
static void
add_message(StringInfo s, const LlmError *err)
{
	appendStringInfo(s, "%s.", pgllm_message_from_utf8(err->message));
	if (err->detail[0])
		appendStringInfo(s, " %s", pgllm_message_from_utf8(err->detail));
}

static char *
describe_reasons(void)
{
	uint64		n_other = row_errors.n_rows;
	StringInfoData s;

	initStringInfo(&s);
	if (row_errors.n_reasons == 1)
	{
		appendStringInfoString(&s, "The first: ");
		add_message(&s, &row_errors.reasons[0].first);
		return s.data;
	}
	for (int i = 0; i < row_errors.n_reasons; i++)
	{
		const Reason *reason = &row_errors.reasons[i];

		appendStringInfo(&s, "%s%llu, the first: ", i > 0 ? "\n" : "", (unsigned long long) reason->n_rows);
		add_message(&s, &reason->first);
		n_other -= reason->n_rows;
	}
	if (n_other > 0)
		appendStringInfo(&s, "\n%llu for other reasons.", (unsigned long long) n_other);
	return s.data;
}

void
pgllm_row_errors_report(void)
{
	uint64		n = row_errors.n_rows;
	char	   *reasons;

	if (n == 0)
		return;
	reasons = describe_reasons();
	pgllm_row_errors_forget();
	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 errmsg_plural("%llu row became NULL, as its data could not be answered",
						   "%llu rows became NULL, as their data could not be answered",
						   (unsigned long) n, (unsigned long long) n),
			 errdetail("%s", reasons),
			 errhint("SET pg_llm.on_error = 'error' stops at the first such row; functions ending in _detail give the reason in the row.")));
}
