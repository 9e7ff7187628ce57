/* An adapter that describes itself with what the test defines, or not at all, and knows no operation. */
#include "fixture.h"

#ifndef DESCRIPTION
#define DESCRIPTION "null"
#endif

static int32_t describe(WaystationBuffer *answer)
{
    (void)last_digit;
    return answer_text(answer, WAYSTATION_STATUS_DONE, DESCRIPTION);
}

static int32_t start(const uint8_t *input, size_t len, uint64_t *task, WaystationBuffer *answer)
{
    (void)input, (void)len;
    *task = 0;
    return answer_text(answer, WAYSTATION_STATUS_UNSUPPORTED, "{\"v\":1,\"error\":\"no such op\"}");
}

static int32_t resume(uint64_t task, const uint8_t *input, size_t len, WaystationBuffer *answer)
{
    (void)task, (void)input, (void)len, (void)answer;
    return WAYSTATION_STATUS_UNKNOWN_TASK;
}

const WaystationAdapterTable *waystation_adapter_v1(void)
{
    static const WaystationAdapterTable table = {
        FIXTURE_MAGIC, FIXTURE_MAJOR, WAYSTATION_ADAPTER_MINOR, FIXTURE_SIZE, "fixture silent",
        describe, start, resume, fixture_free_task, fixture_free_buffer,
    };
    return &table;
}
