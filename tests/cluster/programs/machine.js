// A JVM with a heap, a pool of threads and garbage, as a script of Rhino's.
var id = java.util.UUID.randomUUID().toString();
var born = java.lang.System.currentTimeMillis();
var held = new java.util.concurrent.ConcurrentHashMap();
for (var i = 0; i < 100000; i++) held.put("key " + i, "value " + id + i);
var ticks = new java.util.concurrent.atomic.AtomicLong();
var pool = java.util.concurrent.Executors.newScheduledThreadPool(3);
for (var n = 0; n < 3; n++) {
  pool.scheduleAtFixedRate(function () {
    new java.lang.StringBuilder(65536).append(ticks.incrementAndGet());
  }, 0, 10, java.util.concurrent.TimeUnit.MILLISECONDS);
}
var listener = new java.net.ServerSocket(8000);
while (true) {
  var stream = listener.accept();
  var line = new java.io.BufferedReader(new java.io.InputStreamReader(stream.getInputStream())).readLine();
  var same = id + " " + born + " " + held.size() + " " + held.hashCode();
  new java.io.PrintWriter(stream.getOutputStream(), true).println(line == "same" ? same : ticks.toString());
  stream.close();
}
