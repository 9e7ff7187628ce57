/* What the adapters in this folder have in common: a valid table and functions that write answers. */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "waystation_adapter.h"

#ifndef FIXTURE_MAGIC
#define FIXTURE_MAGIC WAYSTATION_ADAPTER_MAGIC
#endif
#ifndef FIXTURE_MAJOR
#define FIXTURE_MAJOR WAYSTATION_ADAPTER_MAJOR
#endif
#ifndef FIXTURE_SIZE
#define FIXTURE_SIZE sizeof(WaystationAdapterTable)
#endif

#define ACCEPTED "{\"v\":1,\"send\":{\"accepted\":{\"upstream_id\":\"c-1\"}}}"
#define ASK_HTTP \
    "{\"v\":1,\"io\":[{\"id\":1,\"op\":{\"http\":{\"method\":\"GET\",\"url\":\"https://upstream.invalid/\"}}}]}"

static int32_t answer_bytes(WaystationBuffer *answer, int32_t status, const void *bytes, size_t len)
{
    uint8_t *copy = malloc(len + 1);
    if (copy == NULL)
        return WAYSTATION_STATUS_PANICKED;
    memcpy(copy, bytes, len);
    answer->ptr = copy;
    answer->len = len;
    answer->capacity = len + 1;
    return status;
}

static int32_t answer_text(WaystationBuffer *answer, int32_t status, const char *text)
{
    return answer_bytes(answer, status, text, strlen(text));
}

/* The last digit of the recipient's number, or 0. */
static char last_digit(const uint8_t *input, size_t len)
{
    static const char before[] = "\"recipient\":{\"phone\":\"";
    size_t width = sizeof before - 1;
    for (size_t at = 0; at + width < len; at++) {
        if (memcmp(input + at, before, width) != 0)
            continue;
        size_t end = at + width;
        while (end < len && input[end] != '"')
            end++;
        return (char)input[end - 1];
    }
    return 0;
}

static void fixture_free_task(uint64_t task)
{
    (void)task;
}

static void fixture_free_buffer(WaystationBuffer owned_by_plugin)
{
    free(owned_by_plugin.ptr);
}

#define FIXTURE(name)                                                                                            \
    static int32_t fixture_describe(WaystationBuffer *answer)                                                    \
    {                                                                                                            \
        if (answer == NULL)                                                                                      \
            return WAYSTATION_STATUS_BAD_INPUT;                                                                  \
        return answer_text(answer, WAYSTATION_STATUS_DONE,                                                       \
                           "{\"v\":1,\"adapter\":{\"name\":\"" name "\",\"version\":\"1\",\"channel\":\"sms\","  \
                           "\"connection_schema\":{\"type\":\"object\"}}}");                                     \
    }                                                                                                            \
    static int32_t checked_start(const uint8_t *input, size_t len, uint64_t *task, WaystationBuffer *answer)     \
    {                                                                                                            \
        if (task == NULL || answer == NULL || (input == NULL && len > 0))                                        \
            return WAYSTATION_STATUS_BAD_INPUT;                                                                  \
        return fixture_start(input, len, task, answer);                                                          \
    }                                                                                                            \
    static int32_t checked_resume(uint64_t task, const uint8_t *input, size_t len, WaystationBuffer *answer)     \
    {                                                                                                            \
        if (answer == NULL || (input == NULL && len > 0))                                                        \
            return WAYSTATION_STATUS_BAD_INPUT;                                                                  \
        return fixture_resume(task, input, len, answer);                                                         \
    }                                                                                                            \
    const WaystationAdapterTable *waystation_adapter_v1(void)                                                    \
    {                                                                                                            \
        static const WaystationAdapterTable table = {                                                            \
            FIXTURE_MAGIC, FIXTURE_MAJOR, WAYSTATION_ADAPTER_MINOR, FIXTURE_SIZE, "fixture " name,               \
            fixture_describe, checked_start, checked_resume, fixture_free_task, fixture_free_buffer,             \
        };                                                                                                       \
        return &table;                                                                                           \
    }

#endif
