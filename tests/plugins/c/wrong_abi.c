/* An adapter of another time: another major version, or what the test defines instead. Its functions must not be called. */
#if !defined(FIXTURE_MAJOR) && !defined(FIXTURE_MAGIC) && !defined(FIXTURE_SIZE)
#define FIXTURE_MAJOR 99
#endif
#include "fixture.h"

static int32_t fixture_start(const uint8_t *input, size_t len, uint64_t *task, WaystationBuffer *answer)
{
    (void)input, (void)len, (void)task, (void)answer, (void)last_digit;
    abort();
}

static int32_t fixture_resume(uint64_t task, const uint8_t *input, size_t len, WaystationBuffer *answer)
{
    (void)task, (void)input, (void)len, (void)answer;
    abort();
}

FIXTURE("wrong-abi")
