/*
 * enum_labels.h: the labels of an enum type.
 */
#ifndef PGLLM_ENUM_LABELS_H
#define PGLLM_ENUM_LABELS_H

#include "postgres.h"

/* labels in their sort order, as seen by this statement; in the current memory context */
extern char **pgllm_enum_labels(Oid type, int *n);

#endif
