/*
 * The simulation: seeded runs of a whole machine under a mixed workload, with failures injected.
 *
 * A run is a function of its seed. A few threads on a few processors take turns at *operations*: each step of a thread is
 * one operation, drawn by the seed; memory is refused to some of them. All threads make a few steps at once (a round), then
 * all stand still while the validators look at everything. At the end each operation gives back what it kept, and the
 * balance (test/balance.h) must be what it was. The first thing that is wrong ends the run.
 *
 * A *plan* narrows a run down: only some of its steps are made. What a step does depends on the seed and on its own number
 * alone, so leaving others out does not change it; sim.pl shrinks a run that fails to few steps that way.
 *
 * Work that comes later adds operations: a file in this folder with
 *
 *   static VOID
 *   ThingStep(PSIM_THREAD Thread)          // one step; PASSIVE_LEVEL, may block, may be refused memory
 *   {
 *       THING_STATE *State = SimState(Thread);
 *       ...
 *       SIM_CHECK(SimIsPainted(State->Buffer, Size, State->Pattern));
 *   }
 *
 *   static VOID
 *   ThingEnd(PSIM_THREAD Thread)           // give back what steps kept; nothing is refused any more
 *
 *   SIM_OPERATION("thing", 10, sizeof(THING_STATE), ThingStep, ThingEnd);
 */
#ifndef TEST_SIM_H
#define TEST_SIM_H

#include <ke/ke.h>
#include <mm/pool/pool.h>

#define SIM_THREADS 6
#define SIM_OPERATIONS 32
#define SIM_TAG 'miSN'

typedef struct _SIM_THREAD SIM_THREAD, *PSIM_THREAD;
typedef VOID SIM_ROUTINE(PSIM_THREAD Thread);

/* An operation. Its state, for each thread, is zeroed memory that is nobody else's. */
typedef struct _SIM_ENTRY {
    const char *Name;
    ULONG Weight;
    ULONG StateBytes;
    SIM_ROUTINE *Step;
    SIM_ROUTINE *End;
} SIM_ENTRY;

#define SIM_OPERATION(Text, Weight_, StateBytes_, Step_, End_)                                                       \
    static const SIM_ENTRY SimEntry_##Step_ __attribute__((used, section("simops"), aligned(8))) = {Text, Weight_,   \
                                                                                                  StateBytes_, Step_, End_}

struct _SIM_THREAD {
    ULONG Number;
    ULONG Step;                     /* that it is making, or made last */
    ULONG64 Random;                 /* of this step: SimRandom */
    ULONG RefusedPerMillion;        /* of this step's requests for memory */
    ULONG Requests;                 /* of this step */
    ULONG64 RefusalSeed;            /* of this step */
    const SIM_ENTRY *Entry;         /* of this step; NULL between steps */
    PVOID States[SIM_OPERATIONS];
    PKTHREAD Thread;
    KEVENT Go;
    const char *Bug;                /* planted: what to get wrong; "" for nothing */
};

/* The state of the operation in progress. */
PVOID SimState(PSIM_THREAD Thread);

/* Below Bound, which is not 0. */
ULONG SimRandom(PSIM_THREAD Thread, ULONG Bound);

/* Was any request for memory refused in this step? */
BOOLEAN SimWasRefused(PSIM_THREAD Thread);

/* Is this bug planted? Each belongs to one operation, see simbugs in sim.pl. */
BOOLEAN SimHasBug(PSIM_THREAD Thread, const char *Name);

/* Contents that depend on a pattern and a place. <= the IRQL at which the memory may be touched. */
VOID SimPaint(PVOID Address, SIZE_T Bytes, ULONG Pattern);
BOOLEAN SimIsPainted(const VOID *Address, SIZE_T Bytes, ULONG Pattern);

/* End the run: something is wrong. Any IRQL. */
VOID DECLSPEC_NORETURN SimFail(const char *File, ULONG Line, const char *Text);

#define SIM_CHECK(Expression)                         \
    do {                                              \
        if (!(Expression)) {                          \
            SimFail(__FILE__, __LINE__, #Expression); \
        }                                             \
    } while (0)

/* An outcome that only a refusal explains. */
#define SIM_REFUSED(Thread) SIM_CHECK(SimWasRefused(Thread))

#endif
