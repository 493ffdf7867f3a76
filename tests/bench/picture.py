# SPDX-License-Identifier: BSD-2-Clause
"""The ratios as two pictures in one, drawn by gnuplot."""
import subprocess

SCRIPT = """
set terminal pngcairo size 1000,1200 noenhanced font "sans,11"
set output "{png}"
set multiplot layout 2,1
set title "I/O operations per second, of the bare machine's"
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.9
set boxwidth 0.9
set yrange [0:1.1]
set ytics 0.1
set grid ytics
set xtics rotate by -20
set key outside top center horizontal
plot $ratios using 2:xtic(1) title "direct" linecolor "#2a6f97", \\
     "" using 3 title "relayed" linecolor "#f4a259", \\
     "" using 4 title "nothing but one empty exit for each doorbell" linecolor "#cccccc", \\
     1 title "bare" linecolor "black"
set title "The same with one plug-in alone, 4 KiB, one at a time"
plot $plugins using 2:xtic(1) title "read" linecolor "#2a6f97", \\
     "" using 3 title "write" linecolor "#f4a259", \\
     1 title "bare" linecolor "black"
"""


def draw(results, png):
    lines = ["$ratios << END"]
    for job, found in results["speed"].items():
        ratio = found["ratio"]
        lines.append(f'"{job}" {ratio["direct"]} {ratio["relayed"]} '
                     f'{ratio["empty"]}')
    lines += ["END", "$plugins << END"]
    for name, found in results["plugins"].items():
        ratios = " ".join(str(one["ratio"]) for one in found.values())
        lines.append(f'"{name}" {ratios}')
    script = "\n".join([*lines, "END", SCRIPT.format(png=png)])
    subprocess.run(["gnuplot"], input=script, text=True, check=True)
