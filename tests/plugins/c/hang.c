/* An adapter that does not return: for ever (last digit 1), for a while (2), or after it used the network (3). */
#include <time.h>

#include "fixture.h"

#define A_WHILE_MS 900

static void pause_ms(long ms)
{
    struct timespec duration = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&duration, NULL);
}

static int32_t hang(void)
{
    volatile int for_ever = 1;
    while (for_ever)
        pause_ms(1000);
    return WAYSTATION_STATUS_PANICKED;
}

static int32_t fixture_start(const uint8_t *input, size_t len, uint64_t *task, WaystationBuffer *answer)
{
    *task = 0;
    switch (last_digit(input, len)) {
    case '1':
        return hang();
    case '2':
        pause_ms(A_WHILE_MS);
        break;
    case '3':
        *task = 1;
        return answer_text(answer, WAYSTATION_STATUS_PENDING, ASK_HTTP);
    }
    return answer_text(answer, WAYSTATION_STATUS_DONE, ACCEPTED);
}

static int32_t fixture_resume(uint64_t task, const uint8_t *input, size_t len, WaystationBuffer *answer)
{
    (void)task, (void)input, (void)len, (void)answer;
    return hang();
}

FIXTURE("hang")
