/*
 * shared_memory.h: parts of the server's main shared memory that this library has beside the cache of models.
 */
#ifndef PGLLM_SHARED_MEMORY_H
#define PGLLM_SHARED_MEMORY_H

/* settings, and room in shared memory if the library is preloaded; called when it is loaded */
extern void pgllm_shared_memory_init(void);

#endif
