/*
 * status.h: how the runtime reports. Functions return LlmStatus and fill LlmError; nothing raises, aborts or prints.
 *
 * A message is lower case without period; detail and hint are whole sentences. LLM_PAUSED is not an error: should_stop
 * asked for a pause, the state is whole, and calling again goes on.
 */
#ifndef LLM_STATUS_H
#define LLM_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum LlmStatus
{
	LLM_OK = 0,
	LLM_PAUSED,
	LLM_E_IO,					/* the system refused; sys_errno says why */
	LLM_E_FORMAT,				/* a file or stored value is damaged */
	LLM_E_UNSUPPORTED,			/* well formed, but not known here */
	LLM_E_LIMIT,				/* a size beyond what is allowed or possible */
	LLM_E_ARGUMENT,				/* the caller's value is wrong */
	LLM_E_NOMEM,
	LLM_E_DEVICE
} LlmStatus;

typedef struct LlmError
{
	LlmStatus	status;
	int			sys_errno;
	char		message[256];
	char		detail[512];	/* empty: none */
	char		hint[256];		/* empty: none */
} LlmError;

/*
 * Fill err (may be NULL) and return status; clears detail and hint. The text becomes well-formed UTF-8 without control
 * characters (arguments may be bytes of a file) and is cut at the buffer, on a character boundary.
 */
extern LlmStatus llm_fail(LlmError *err, LlmStatus status, const char *format,...) __attribute__((format(printf, 3, 4)));

/* as llm_fail with LLM_E_IO; keeps errno and appends ": " and the system's text for it to the message */
extern LlmStatus llm_fail_errno(LlmError *err, int sys_errno, const char *format,...) __attribute__((format(printf, 3, 4)));

/* add a detail or hint to an error just filled */
extern void llm_error_detail(LlmError *err, const char *format,...) __attribute__((format(printf, 2, 3)));
extern void llm_error_hint(LlmError *err, const char *format,...) __attribute__((format(printf, 2, 3)));

#define LLM_TRY(call) \
	do { \
		LlmStatus	llm_try_status = (call); \
		if (llm_try_status != LLM_OK) \
			return llm_try_status; \
	} while (0)

/* asked between pieces of work of a few milliseconds; fn NULL: never stop */
typedef struct LlmStop
{
	bool		(*should_stop) (void *opaque);
	void	   *opaque;
} LlmStop;

static inline bool
llm_should_stop(const LlmStop *stop)
{
	return stop && stop->should_stop && stop->should_stop(stop->opaque);
}

/* bytes with a length, not terminated; borrowed */
typedef struct LlmStr
{
	const char *data;
	size_t		len;
} LlmStr;

#endif
