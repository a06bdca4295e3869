# Cài đặt hoặc nâng cấp communewatch agent thành dịch vụ Windows. Installs or upgrades the agent as a service of Windows.
#
#   powershell -ExecutionPolicy Bypass -File install.ps1 [-Code MÃ] [-Updates KHÓA] [-Allow ĐỊA_CHỈ,...]
#
# -Updates: khóa công khai (RW...) mà bản phát hành phải được ký bằng; có nó máy sẽ tự cập nhật từ trung tâm.
# -Updates: the public key (RW...) that releases have to be signed with; with it the machine updates itself from the collector.
# -Allow: địa chỉ ngoài mạng riêng mà kế hoạch đo (điểm đo Internet), cách nhau bằng dấu phẩy, đặt trong dấu nháy.
# -Allow: addresses beyond private networks that the plan measures (measuring points on the Internet), by commas, in quotes.
#
# Chạy trong cửa sổ PowerShell mở bằng "Run as administrator". Run it in a window opened with "Run as administrator".
param([string]$Code = "", [string]$Updates = "", [string]$Allow = "")
$ErrorActionPreference = "Stop"

$name = "communewatch-agent"
$here = Split-Path -Parent $MyInvocation.MyCommand.Path
$programs = Join-Path $env:ProgramFiles $name
$state = Join-Path $env:ProgramData $name
$exe = Join-Path $programs "$name.exe"
$settings = Join-Path $state "agent.yaml"

function Stop-With([string]$text) {
    Write-Host $text -ForegroundColor Red
    exit 1
}

# Windows cũ không chạy nổi chương trình, nên phải hỏi trước. Older Windows can't even start the program, so ask first.
$os = Get-WmiObject Win32_OperatingSystem
$build = [int]$os.BuildNumber
$least = 10240
if ($os.ProductType -ne 1) { $least = 14393 }
if ($build -lt $least) {
    Stop-With "Máy này chạy $($os.Caption) (bản $build), quá cũ. Cần Windows 10 hoặc Windows Server 2016 trở lên.`nThis is $($os.Caption) (build $build), which is too old. Windows 10 or Windows Server 2016 or newer is needed."
}
if ($env:PROCESSOR_ARCHITECTURE -ne "AMD64") {
    Stop-With "Cần Windows 64 bit (x64). A 64 bit Windows (x64) is needed; this is $env:PROCESSOR_ARCHITECTURE."
}
$me = New-Object Security.Principal.WindowsPrincipal([Security.Principal.WindowsIdentity]::GetCurrent())
if (-not $me.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) {
    Stop-With "Hãy mở PowerShell bằng 'Run as administrator' (Chạy với quyền quản trị) rồi chạy lại.`nOpen PowerShell with 'Run as administrator' and run this again."
}

# Thư mục trạng thái chứa khóa của máy: chỉ SYSTEM và quản trị viên được đọc. Giao trước khi có gì ở trong.
# The state folder will hold this machine's key: SYSTEM and administrators only, set before anything is in it.
# S-1-5-18 là SYSTEM, S-1-5-32-544 là Administrators; tên của chúng khác nhau theo ngôn ngữ của Windows.
New-Item -ItemType Directory -Force -Path $programs, $state | Out-Null
& icacls.exe $state /inheritance:r /grant:r "*S-1-5-18:(OI)(CI)F" "*S-1-5-32-544:(OI)(CI)F" /Q | Out-Null
if ($LASTEXITCODE -ne 0) { Stop-With "Không đặt được quyền cho $state. Can't set the rights of $state." }

$installed = Get-Service -Name $name -ErrorAction SilentlyContinue
if ($installed) {
    Write-Host "Dừng dịch vụ để nâng cấp. Stopping the service for the upgrade."
    & $exe service stop
    if ($LASTEXITCODE -ne 0 -and (Get-Service -Name $name).Status -ne "Stopped") { Stop-With "Dịch vụ không dừng. The service does not stop." }
}
Copy-Item -Force (Join-Path $here "$name.exe") $exe
if (-not (Test-Path $settings)) { Copy-Item (Join-Path $here "agent.yaml") $settings }
if (-not $installed) {
    & $exe service install --config $settings
    if ($LASTEXITCODE -ne 0) { Stop-With "Không cài được dịch vụ. The service could not be installed." }
}

# Trả lời ping của máy khác không cần; gói trả lời cho chính agent thì tường lửa đã cho qua.
if (-not (Test-Path (Join-Path $state "identity\identity.json"))) {
    if (-not $Code) { $Code = Read-Host "Nhập mã tham gia do trung tâm cấp (Enter để bỏ qua). Join code from the collector (Enter to skip)" }
    if ($Code) {
        $more = @()
        if ($Updates) { $more = @("--updates", $Updates) }
        if ($Allow) { $more += @("--allow", $Allow) }
        & $exe enroll $Code --config $settings @more
        if ($LASTEXITCODE -ne 0) { Write-Host "Chưa tham gia được; dịch vụ vẫn chạy và chờ. Thử lại: `"$exe`" enroll MÃ`nNot enrolled yet; the service runs and waits. Try again: `"$exe`" enroll CODE" -ForegroundColor Yellow }
    }
} else {
    if ($Updates) {
        & $exe update pin $Updates --config $settings
        if ($LASTEXITCODE -ne 0) { Stop-With "Không ghim được khóa của bản phát hành. The key of releases could not be pinned." }
    }
    if ($Allow) {
        & $exe allow add ($Allow -split ",") --config $settings
        if ($LASTEXITCODE -ne 0) { Stop-With "Không cho phép được địa chỉ. The addresses could not be allowed." }
    }
}
& $exe service start
if ($LASTEXITCODE -ne 0) { Stop-With "Dịch vụ không chạy được; xem Event Viewer, Windows Logs, Application. The service does not start; look into the Event Viewer." }
& $exe version
Write-Host "Xong. Dịch vụ $name tự chạy cùng Windows. Done. The service starts with Windows." -ForegroundColor Green
