/* The scheduler's preemption, abort and drain (src/scheduler), with two steps in flight.
 *
 * N sequences share M blocks. Each computes one block per step and ends when the step that fills its last one is committed. Served in order:
 * first those preempted LIMIT times (protected), then the rest; a sequence without a free block preempts the last one served after it. A
 * protected sequence is admitted only when the needs of all running protected ones fit the pool together. Preemption loses all progress,
 * which is more than the scheduler loses. A client submits in any order, may abort anything at any moment,
 * may pause the first at any moment and resumes it at any later one, then drains.
 *
 * Checked for every interleaving and every choice of needs: blocks are conserved; nobody is preempted more than LIMIT times; with nothing in
 * flight a step always has a row while a sequence is left (no deadlock, no livelock); every drain ends (ltl drain, weak fairness).
 * Built with -DNO_RESERVATION the protected are admitted like others, and the checker must find the deadlock. */

#ifndef N
#define N 3
#endif
#ifndef M
#define M 4
#endif
#ifndef LIMIT
#define LIMIT 2
#endif

#define NONE 0
#define WAITING 1
#define RUNNING 2
#define ENDED 3
#define PAUSED 4

byte state[N];
byte need[N];       /* blocks at its end, 1 .. M */
byte held[N];       /* blocks it holds; also the rows submitted since its admission */
byte committed[N];
byte preempted[N];  /* times */
byte flying[N];     /* rows in flight */
byte free_blocks = M;
byte steps = 0;     /* in flight */
byte older, newer;  /* rows of the steps in flight, as bit sets */
byte rows, banned;  /* of the step being built: has a row; was preempted */
bool memory_short, drained;
bool stalled;       /* the last schedule had no rows: the engine commits, or waits for the client, before the next */
hidden byte i, j, k, pass, victim, owed;

#define PROTECTED(x) (preempted[x] == LIMIT)

inline release(x) {
  free_blocks = free_blocks + held[x];
  held[x] = 0;
  committed[x] = 0
}

/* A row for x, which runs or is being admitted; preempts as needed. */
inline serve(x) {
  do
  :: free_blocks > 0 -> break
  :: else ->
     victim = N;
     j = 0;
     do
     :: j == N -> break
     :: else ->
        if
        :: j != x && state[j] == RUNNING && !PROTECTED(j) && held[j] > 0 && (rows & (1 << j)) == 0 && (PROTECTED(x) || j > x) -> victim = j
        :: else
        fi;
        j++
     od;
     memory_short = true;
     if
     :: victim == N -> break
     :: else ->
        release(victim);
        state[victim] = WAITING;
        preempted[victim]++;
        assert(preempted[victim] <= LIMIT);
        banned = banned | (1 << victim)
     fi
  od;
  if
  :: free_blocks > 0 ->
     free_blocks--;
     held[x]++;
     flying[x]++;
     rows = rows | (1 << x)
  :: else
  fi
}

/* Blocks that running protected sequences may still ask for. */
inline count_owed() {
  owed = 0;
  j = 0;
  do
  :: j == N -> break
  :: else ->
     if
     :: state[j] == RUNNING && PROTECTED(j) -> owed = owed + need[j] - held[j]
     :: else
     fi;
     j++
  od
}

inline admit() {
  pass = 0;
  do
  :: pass == 2 -> break
  :: else ->
     i = 0;
     do
     :: i == N || memory_short -> break
     :: else ->
        if
        :: state[i] == WAITING && flying[i] == 0 && (banned & (1 << i)) == 0 && PROTECTED(i) == (pass == 0) ->
           count_owed();
           k = 0;  /* blocks of running protected sequences, held and owed */
           j = 0;
           do
           :: j == N -> break
           :: else ->
              if
              :: state[j] == RUNNING && PROTECTED(j) -> k = k + need[j]
              :: else
              fi;
              j++
           od;
           if
#ifdef NO_RESERVATION
           :: free_blocks > 0 ->
#else
           :: free_blocks > owed && (!PROTECTED(i) || k + need[i] <= M) ->
#endif
              state[i] = RUNNING;
              serve(i)
           :: else -> memory_short = true  /* nobody overtakes it */
           fi
        :: else
        fi;
        i++
     od;
     pass++
  od
}

inline schedule() {
  rows = 0;
  banned = 0;
  memory_short = false;
  pass = 0;
  do
  :: pass == 2 -> break
  :: else ->
     i = 0;
     do
     :: i == N -> break
     :: else ->
        if
        :: state[i] == RUNNING && PROTECTED(i) == (pass == 0) && held[i] < need[i] -> serve(i)
        :: else
        fi;
        i++
     od;
     pass++
  od;
  if
  :: !memory_short -> admit()
  :: else
  fi;
  if
  :: rows != 0 && steps == 0 -> older = rows; steps = 1
  :: rows != 0 && steps == 1 -> newer = rows; steps = 2
  :: else
  fi
}

inline commit() {
  i = 0;
  do
  :: i == N -> break
  :: else ->
     if
     :: (older & (1 << i)) != 0 ->
        flying[i]--;
        if
        :: state[i] == RUNNING ->
           committed[i]++;
           if
           :: committed[i] == need[i] -> release(i); state[i] = ENDED
           :: else
           fi
        :: else  /* preempted or aborted meanwhile */
        fi
     :: else
     fi;
     i++
  od;
  older = newer;
  newer = 0;
  steps--
}

inline check_blocks() {
  k = free_blocks;
  i = 0;
  do
  :: i == N -> break
  :: else -> k = k + held[i]; i++
  od;
  assert(k == M)
}

#define LEFT(x) (state[x] == WAITING || state[x] == RUNNING)
#if N == 2
#define ANY_LEFT (LEFT(0) || LEFT(1))
#define ANY_NONE (state[0] == NONE || state[1] == NONE)
#else
#define ANY_LEFT (LEFT(0) || LEFT(1) || LEFT(2))
#define ANY_NONE (state[0] == NONE || state[1] == NONE || state[2] == NONE)
#endif

active proctype engine() {
  bool idle;
end:
  do
  :: atomic { steps < 2 && ANY_LEFT && !stalled ->
       idle = (steps == 0);
       d_step { schedule(); check_blocks(); stalled = (rows == 0) };
       assert(!(idle && rows == 0))
     }
  :: atomic { steps > 0 -> d_step { commit(); check_blocks(); stalled = false } }
  :: atomic { drained && !ANY_LEFT && steps == 0 -> break }
  od
}

active proctype client() {
  byte x = 0, aborts = 0, pauses = 0;
  do
  :: x < N ->
     atomic {
       select(k : 1 .. M);
       need[x] = k;
       state[x] = WAITING;
       stalled = false;
       x++
     }
  :: atomic { aborts < 1 && x > 0 && LEFT(0) -> d_step { release(0); state[0] = ENDED; stalled = false; aborts++ } }
  :: atomic { aborts < 1 && x > 1 && LEFT(1) -> d_step { release(1); state[1] = ENDED; stalled = false; aborts++ } }
  :: atomic { pauses < 1 && x > 0 && LEFT(0) -> d_step { release(0); state[0] = PAUSED; stalled = false; pauses++ } }
  :: atomic { state[0] == PAUSED -> d_step { state[0] = WAITING; stalled = false } }
  :: x == N && state[0] != PAUSED -> break
  od;
  drained = true;
}

ltl drain { <> (drained && !ANY_LEFT && steps == 0) }
