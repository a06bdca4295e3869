# Gỡ communewatch agent. Removes the agent. Run it in a window opened with "Run as administrator".
#
#   powershell -ExecutionPolicy Bypass -File uninstall.ps1 [-Purge]
#
# Kết quả chưa gửi và danh tính của máy được giữ lại; -Purge xóa cả chúng.
# Results not yet sent and the machine's identity are kept; -Purge removes them too.
param([switch]$Purge)
$ErrorActionPreference = "Stop"

$name = "communewatch-agent"
$programs = Join-Path $env:ProgramFiles $name
$state = Join-Path $env:ProgramData $name
$exe = Join-Path $programs "$name.exe"

$me = New-Object Security.Principal.WindowsPrincipal([Security.Principal.WindowsIdentity]::GetCurrent())
if (-not $me.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) {
    Write-Host "Hãy mở PowerShell bằng 'Run as administrator'. Open PowerShell with 'Run as administrator'." -ForegroundColor Red
    exit 1
}
if (Get-Service -Name $name -ErrorAction SilentlyContinue) {
    & $exe service uninstall
    if ($LASTEXITCODE -ne 0) { exit 1 }
}
if (Test-Path $programs) { Remove-Item -Recurse -Force $programs }
if ($Purge -and (Test-Path $state)) { Remove-Item -Recurse -Force $state }
Write-Host "Đã gỡ. Removed." -ForegroundColor Green
if (-not $Purge -and (Test-Path $state)) { Write-Host "Còn giữ (kept): $state" }
